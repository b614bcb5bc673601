//! Finds Nova's endpoint in the catalog of services, which comes with a login. Sends no requests.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::config::{NovaSource, ServiceUrl};

/// Type of Nova in the catalog.
const COMPUTE: &str = "compute";

/// The version of Nova's API that has microversions.
const VERSION: &str = "v2.1";

/// A service.
#[derive(Deserialize)]
pub(super) struct Service {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    region_id: Option<String>,
    region: Option<String>,
    url: String,
}

impl Endpoint {
    fn region(&self) -> &str {
        let region = self.region_id.as_deref().or(self.region.as_deref());
        region.unwrap_or_default()
    }
}

/// Finds the URL of Nova's API. The error lists the alternatives in the catalog.
pub(super) fn compute(catalog: &[Service], settings: &NovaSource) -> Result<ServiceUrl, String> {
    let interface = settings.interface.as_str();
    let services = catalog.iter().filter(|service| service.kind == COMPUTE);
    let endpoints: Vec<_> = services.flat_map(|service| &service.endpoints).collect();
    if endpoints.is_empty() {
        return Err(
            "its catalog has no compute service; give Noren's user a role in the project, or write endpoint"
                .to_owned(),
        );
    }
    let of_interface = endpoints.iter().filter(|one| one.interface == interface);
    let of_interface: Vec<_> = of_interface.collect();
    if of_interface.is_empty() {
        let others: BTreeSet<_> = endpoints.iter().map(|one| one.interface.as_str()).collect();
        let others: Vec<_> = others.into_iter().collect();
        return Err(format!(
            "its catalog has no {interface} interface of Nova, but {}; write interface",
            others.join(", ")
        ));
    }
    let regions: BTreeSet<_> = of_interface.iter().map(|one| one.region()).collect();
    let names = || regions.iter().copied().collect::<Vec<_>>().join(", ");
    let wanted = match &settings.region {
        Some(region) if regions.contains(region.as_str()) => region,
        Some(region) => {
            return Err(format!(
                "its catalog has no Nova in the region {region}, but in {}; write region",
                names()
            ));
        }
        None if regions.len() > 1 => {
            return Err(format!(
                "its catalog has Nova in several regions ({}); write region, and a [[bridge.tokens]] for each",
                names()
            ));
        }
        None => regions.first().copied().unwrap_or_default(),
    };
    let found = of_interface.iter().find(|one| one.region() == wanted);
    let url = found.map_or("", |one| one.url.as_str());
    ServiceUrl::read(url).map_err(|reason| format!("Nova's URL in its catalog {reason}: {url:?}"))
}

/// The API 2.1 below a URL, which may end with that version, or with the old one and a project.
pub(super) fn versioned(mut url: ServiceUrl) -> ServiceUrl {
    let mut parts: Vec<_> = url.path.split('/').collect();
    match parts
        .iter_mut()
        .find(|part| matches!(**part, "v2" | "v2.1"))
    {
        Some(version) => *version = VERSION,
        None => parts.push(VERSION),
    }
    url.path = parts.join("/");
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn settings(more: &str) -> NovaSource {
        let text = format!(
            "[[bridge.tokens]]\nsource = 'nova'\nauth-url = 'http://k'\nuser = 'a'\nproject = 'b'\n\
             password = '/c'\nallow = []\n{more}"
        );
        let config = Config::parse(&text, "noren.toml").expect("a configuration");
        let source = config.bridge.tokens.into_iter().next().expect("a source");
        match source.kind {
            crate::config::SourceKind::Nova(nova) => nova,
            _ => unreachable!("it is Nova's"),
        }
    }

    fn find(catalog: &str, more: &str) -> Result<String, String> {
        let catalog: Vec<Service> = serde_json::from_str(catalog).expect("JSON");
        compute(&catalog, &settings(more)).map(|url| versioned(url).to_string())
    }

    const CLOUD: &str = r#"[
        {"type": "identity", "endpoints": []},
        {"type": "compute", "name": "nova", "endpoints": [
            {"interface": "public", "region_id": "North", "region": "North", "url": "https://north/v2.1"},
            {"interface": "public", "region_id": "South", "url": "https://south/compute/v2.1/0123"},
            {"interface": "internal", "region": "North", "url": "http://10.0.0.1:8774/"},
            {"interface": "admin", "region": "North", "url": "http://10.0.0.1:8774/v2/0123"}
        ]}
    ]"#;

    #[test]
    fn nova_is_found_by_interface_and_region_whatever_its_url_ends_with() {
        for (more, found) in [
            ("region = 'North'", "https://north/v2.1"),
            ("region = 'South'", "https://south/compute/v2.1/0123"),
            ("interface = 'internal'", "http://10.0.0.1:8774/v2.1"),
            ("interface = 'admin'", "http://10.0.0.1:8774/v2.1/0123"),
        ] {
            assert_eq!(find(CLOUD, more).expect("found"), found);
        }
    }

    #[test]
    fn a_catalog_without_it_is_told_with_what_it_has() {
        for (catalog, more, said) in [
            (CLOUD, "", "several regions (North, South)"),
            (CLOUD, "region = 'East'", "but in North, South"),
            (
                r#"[{"type": "compute", "endpoints": [{"interface": "public", "url": "http://n"}]}]"#,
                "interface = 'admin'",
                "but public; write interface",
            ),
            ("[]", "", "has no compute service"),
            (
                r#"[{"type": "compute", "endpoints": [{"interface": "public", "url": "nova"}]}]"#,
                "",
                "is not an http or https URL",
            ),
        ] {
            let error = find(catalog, more).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }
}
