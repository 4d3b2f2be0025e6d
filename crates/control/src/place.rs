//! Where an endpoint runs, for series that carry neither its id nor a pod called after it.

use crate::EndpointError;

/// Bytes of a place.
const BYTES_MAX: usize = 256;

/// A machine or a GPU that one endpoint has to itself: `vm/ID`, `node/NAME` or `gpu/NODE/INDEX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place(String);

impl Place {
    /// Reads one of the three forms; the parts are what labels say, without spaces, commas and slashes.
    pub fn parse(text: &str) -> Result<Place, EndpointError> {
        let is_part =
            |part: &&str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',');
        let parts: Vec<&str> = text.split('/').collect();
        let has_form = matches!(parts.as_slice(), ["vm" | "node", _] | ["gpu", _, _]);
        if has_form && text.len() <= BYTES_MAX && parts.iter().all(is_part) {
            return Ok(Place(text.to_owned()));
        }
        Err(EndpointError::Place { value: text.chars().take(BYTES_MAX).collect() })
    }

    /// The virtual machine that labels call `id`.
    pub fn vm(id: &str) -> Place {
        Place(format!("vm/{id}"))
    }

    /// The machine called `name`.
    pub fn node(name: &str) -> Place {
        Place(format!("node/{name}"))
    }

    /// One GPU of the machine `node`.
    pub fn gpu(node: &str, index: &str) -> Place {
        Place(format!("gpu/{node}/{index}"))
    }

    /// The text it is written as.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_three_forms() {
        for (text, expect) in [
            ("vm/0b9c", Some(Place::vm("0b9c"))),
            ("node/gpu-1.local", Some(Place::node("gpu-1.local"))),
            ("gpu/gpu-1/0", Some(Place::gpu("gpu-1", "0"))),
            ("gpu/gpu-1", None),
            ("vm/", None),
            ("vm/a b", None),
            ("node/a,b", None),
            ("rack/7", None),
            ("vm/a/b", None),
            ("", None),
        ] {
            assert_eq!(Place::parse(text).ok(), expect, "{text}");
        }
        assert!(Place::parse(&format!("vm/{}", "x".repeat(300))).is_err());
    }
}
