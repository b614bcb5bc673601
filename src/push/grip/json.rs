//! Members of the JSON objects of GRIP. Independent of the meaning of an object.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// A text; `None` if it is missing or null.
pub(super) fn text(object: &Object, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        // Libraries give ids of databases as numbers.
        Some(Value::Number(number)) if matches!(name, "id" | "prev-id") => {
            Ok(Some(number.to_string()))
        }
        Some(_) => Err(format!("{name} is not a string")),
    }
}

/// A whole number from 0.
pub(super) fn number(object: &Object, name: &str) -> Result<Option<u64>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("{name} is not a whole number")),
    }
}

/// An object.
pub(super) fn object<'a>(parent: &'a Object, name: &str) -> Result<Option<&'a Object>, String> {
    match parent.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(format!("{name} is not an object")),
    }
}

/// A list of texts; empty if it is missing.
pub(super) fn texts(object: &Object, name: &str) -> Result<Vec<String>, String> {
    let list = match object.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(format!("{name} is not a list")),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts: Option<_> = list.iter().map(text).collect();
    texts.ok_or_else(|| format!("{name} has something else than strings"))
}

/// Names and texts; empty if they are missing. Numbers count as texts.
pub(super) fn pairs(parent: &Object, name: &str) -> Result<BTreeMap<String, String>, String> {
    let Some(members) = object(parent, name)? else {
        return Ok(BTreeMap::new());
    };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        Value::Number(number) => Ok((key.clone(), number.to_string())),
        _ => Err(format!("{name} has something else than strings")),
    };
    members.iter().map(pair).collect()
}

/// Header fields: an object, or a list of pairs.
pub(super) fn headers(parent: &Object, name: &str) -> Result<Vec<(String, String)>, String> {
    let list = match parent.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(_)) => return Ok(pairs(parent, name)?.into_iter().collect()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(format!("{name} are neither an object nor a list")),
    };
    let pair = |value: &Value| {
        let [name, value] = value.as_array()?.as_slice() else {
            return None;
        };
        Some((name.as_str()?.to_owned(), value.as_str()?.to_owned()))
    };
    let pairs: Option<_> = list.iter().map(pair).collect();
    pairs.ok_or_else(|| format!("{name} have something else than pairs of strings"))
}

/// Bytes: a text under this name, or base64 under the name with `-bin`.
pub(super) fn bytes(object: &Object, name: &str) -> Result<Option<Bytes>, String> {
    let coded = format!("{name}-bin");
    if let Some(base64) = text(object, &coded)? {
        let bytes = STANDARD
            .decode(base64)
            .map_err(|_| format!("{coded} is not base64"))?;
        return Ok(Some(bytes.into()));
    }
    Ok(text(object, name)?.map(Bytes::from))
}
