//! JSON Patch (RFC 6902), which changes the body of a held response. Must not know messages.

use serde_json::Value;

use super::json;

/// The limit on operations of one patch.
const MOST: usize = 1000;

/// A JSON patch with checked syntax.
#[derive(Debug)]
pub(super) struct Patch(Vec<Operation>);

#[derive(Debug)]
enum Operation {
    Add(Pointer, Value),
    Remove(Pointer),
    Replace(Pointer, Value),
    Move { from: Pointer, to: Pointer },
    Copy { from: Pointer, to: Pointer },
    Test(Pointer, Value),
}

/// A JSON Pointer (RFC 6901): the names on the way to a value.
#[derive(Debug)]
struct Pointer(Vec<String>);

impl Patch {
    /// Reads a patch; the error text says what is wrong with it.
    pub(super) fn read(patch: &Value) -> Result<Self, String> {
        let list = patch.as_array().ok_or("body-patch is not a list")?;
        if list.len() > MOST {
            return Err(format!("body-patch has more than {MOST} operations"));
        }
        list.iter()
            .map(Operation::read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Applies the patch to the text of a JSON value, whose final line break stays.
    pub(super) fn apply(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let mut value: Value = serde_json::from_slice(body)
            .map_err(|_| "the held body is not JSON, so that no patch fits")?;
        for operation in &self.0 {
            operation
                .apply(&mut value)
                .ok_or("the patch does not fit the held body")?;
        }
        let mut text = value.to_string().into_bytes();
        if body.ends_with(b"\r\n") {
            text.extend_from_slice(b"\r\n");
        } else if body.ends_with(b"\n") {
            text.push(b'\n');
        }
        Ok(text)
    }
}

impl Operation {
    fn read(operation: &Value) -> Result<Self, String> {
        let object = operation
            .as_object()
            .ok_or("an operation is not an object")?;
        let pointer = |name: &str| {
            let text = json::text(object, name)?;
            Pointer::parse(&text.ok_or_else(|| format!("an operation has no {name}"))?)
        };
        let value = || {
            let value = object.get("value").cloned();
            value.ok_or_else(|| "an operation has no value".to_owned())
        };
        let path = pointer("path")?;
        match json::text(object, "op")?.as_deref() {
            Some("add") => Ok(Self::Add(path, value()?)),
            Some("remove") => Ok(Self::Remove(path)),
            Some("replace") => Ok(Self::Replace(path, value()?)),
            Some("test") => Ok(Self::Test(path, value()?)),
            Some("move") => Ok(Self::Move {
                from: pointer("from")?,
                to: path,
            }),
            Some("copy") => Ok(Self::Copy {
                from: pointer("from")?,
                to: path,
            }),
            _ => Err("an operation has an op that is not known here".to_owned()),
        }
    }

    fn apply(&self, root: &mut Value) -> Option<()> {
        match self {
            Self::Add(at, value) => at.add(root, value.clone()),
            Self::Remove(at) => at.remove(root).map(drop),
            Self::Replace(at, value) => {
                *at.find(root)? = value.clone();
                Some(())
            }
            Self::Move { from, to } => {
                // A value cannot become a part of itself (RFC 6902 §4.4).
                if to.0.len() > from.0.len() && to.0.starts_with(&from.0) {
                    return None;
                }
                let value = from.remove(root)?;
                to.add(root, value)
            }
            Self::Copy { from, to } => {
                let value = from.find(root)?.clone();
                to.add(root, value)
            }
            Self::Test(at, value) => (at.find(root)? == value).then_some(()),
        }
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let rest = text
            .strip_prefix('/')
            .ok_or("a path of the patch begins without /")?;
        let name = |part: &str| part.replace("~1", "/").replace("~0", "~");
        Ok(Self(rest.split('/').map(name).collect()))
    }

    fn find<'a>(&self, root: &'a mut Value) -> Option<&'a mut Value> {
        self.0
            .iter()
            .try_fold(root, |value, name| step(value, name))
    }

    /// The value that contains the addressed one, and the name of the latter in it.
    fn parent<'a>(&self, root: &'a mut Value) -> Option<(&'a mut Value, &str)> {
        let (last, way) = self.0.split_last()?;
        let parent = way.iter().try_fold(root, |value, name| step(value, name))?;
        Some((parent, last))
    }

    fn add(&self, root: &mut Value, value: Value) -> Option<()> {
        if self.0.is_empty() {
            *root = value;
            return Some(());
        }
        match self.parent(root)? {
            (Value::Object(members), name) => {
                members.insert(name.to_owned(), value);
            }
            (Value::Array(list), "-") => list.push(value),
            (Value::Array(list), name) => {
                let place = place(name).filter(|place| *place <= list.len())?;
                list.insert(place, value);
            }
            _ => return None,
        }
        Some(())
    }

    fn remove(&self, root: &mut Value) -> Option<Value> {
        if self.0.is_empty() {
            return Some(root.take());
        }
        match self.parent(root)? {
            (Value::Object(members), name) => members.remove(name),
            (Value::Array(list), name) => {
                let place = place(name).filter(|place| *place < list.len())?;
                Some(list.remove(place))
            }
            _ => None,
        }
    }
}

fn step<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(members) => members.get_mut(name),
        Value::Array(list) => list.get_mut(place(name)?),
        _ => None,
    }
}

/// The place in a list: digits without a leading zero (RFC 6901 §4).
fn place(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits).then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(body: &str, patch: &str) -> Result<String, String> {
        let patch = Patch::read(&serde_json::from_str(patch).expect("JSON"))?;
        let made = patch.apply(body.as_bytes())?;
        Ok(String::from_utf8(made).expect("UTF-8"))
    }

    // Cases of RFC 6902, appendix A.
    #[test]
    fn each_operation_does_what_the_rfc_shows() {
        for (body, patch, made) in [
            (
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
                r#"{"baz":"qux","foo":"bar"}"#,
            ),
            (
                r#"{"foo":["bar","baz"]}"#,
                r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
                r#"{"foo":["bar","qux","baz"]}"#,
            ),
            (
                r#"{"baz":"qux","foo":"bar"}"#,
                r#"[{"op":"remove","path":"/baz"}]"#,
                r#"{"foo":"bar"}"#,
            ),
            (
                r#"{"foo":["bar","qux","baz"]}"#,
                r#"[{"op":"remove","path":"/foo/1"}]"#,
                r#"{"foo":["bar","baz"]}"#,
            ),
            (
                r#"{"a":1}"#,
                r#"[{"op":"replace","path":"/a","value":2}]"#,
                r#"{"a":2}"#,
            ),
            (
                r#"{"a":{"b":1},"c":{}}"#,
                r#"[{"op":"move","from":"/a/b","path":"/c/d"}]"#,
                r#"{"a":{},"c":{"d":1}}"#,
            ),
            (
                r#"{"a":1}"#,
                r#"[{"op":"copy","from":"/a","path":"/b"}]"#,
                r#"{"a":1,"b":1}"#,
            ),
            (
                r#"{"/":9,"~1":10}"#,
                r#"[{"op":"test","path":"/~01","value":10}]"#,
                r#"{"/":9,"~1":10}"#,
            ),
            (
                r#"{"foo":["bar"]}"#,
                r#"[{"op":"add","path":"/foo/-","value":["x"]}]"#,
                r#"{"foo":["bar",["x"]]}"#,
            ),
            (
                "[1]\n",
                r#"[{"op":"add","path":"/0","value":0}]"#,
                "[0,1]\n",
            ),
            ("1", r#"[{"op":"add","path":"","value":{}}]"#, "{}"),
        ] {
            assert_eq!(applied(body, patch).as_deref(), Ok(made), "{patch}");
        }
    }

    #[test]
    fn a_patch_that_does_not_fit_changes_nothing() {
        for (body, patch) in [
            ("no JSON", "[]"),
            (r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":2}]"#),
            (r#"{"a":1}"#, r#"[{"op":"remove","path":"/b"}]"#),
            (r#"{"a":1}"#, r#"[{"op":"add","path":"/b/c","value":2}]"#),
            (
                r#"{"a":{}}"#,
                r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
            ),
            ("[1]", r#"[{"op":"add","path":"/2","value":0}]"#),
            ("[1]", r#"[{"op":"add","path":"/01","value":0}]"#),
            ("[1]", r#"[{"op":"explode","path":"/0"}]"#),
            ("[1]", r#"[{"op":"remove","path":"0"}]"#),
            ("[1]", "{}"),
        ] {
            assert!(applied(body, patch).is_err(), "{patch}");
        }
    }
}
