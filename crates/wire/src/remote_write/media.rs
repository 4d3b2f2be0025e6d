//! Which message a request's headers announce, as pure functions of the header values.

use crate::UnsupportedMedia;

/// The media type of protobuf bodies.
const PROTOBUF: &str = "application/x-protobuf";
const SUPPORTED_TYPES: &str =
    "application/x-protobuf with proto=prometheus.WriteRequest, proto=io.prometheus.write.v2.Request or none";

/// The message in a remote-write body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMessage {
    /// `prometheus.WriteRequest`, remote write 1.0.
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0.
    V2,
}

impl WriteMessage {
    /// The message's full name.
    pub fn as_str(self) -> &'static str {
        match self {
            WriteMessage::V1 => "prometheus.WriteRequest",
            WriteMessage::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

/// The message that a `Content-Type` names; without one it is version 1, whatever a version header says.
pub fn write_message(content_type: Option<&str>) -> Result<WriteMessage, UnsupportedMedia> {
    let Some(text) = content_type.map(trim).filter(|text| !text.is_empty()) else { return Ok(WriteMessage::V1) };
    message_named(text).ok_or_else(|| UnsupportedMedia {
        header: "content type",
        value: text.chars().take(200).collect(),
        supported: SUPPORTED_TYPES,
    })
}

/// Checks that a `Content-Encoding` is snappy, which is also what its absence means.
pub fn check_content_encoding(content_encoding: Option<&str>) -> Result<(), UnsupportedMedia> {
    match content_encoding.map(trim) {
        None | Some("") => Ok(()),
        Some(text) if text.eq_ignore_ascii_case("snappy") => Ok(()),
        Some(text) => Err(UnsupportedMedia {
            header: "content encoding",
            value: text.chars().take(200).collect(),
            supported: "snappy (block format)",
        }),
    }
}

fn message_named(text: &str) -> Option<WriteMessage> {
    let (media_type, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
    if !trim(media_type).eq_ignore_ascii_case(PROTOBUF) {
        return None;
    }
    let mut message = None;
    while let Some(parameters) = rest.strip_prefix(';') {
        let (name, value);
        (name, value, rest) = take_parameter(trim(parameters))?;
        if name.eq_ignore_ascii_case("proto") {
            let named = [WriteMessage::V1, WriteMessage::V2].into_iter().find(|m| m.as_str() == value)?;
            if message.is_some_and(|other| other != named) {
                return None;
            }
            message = Some(named);
        }
    }
    rest.is_empty().then_some(message.unwrap_or(WriteMessage::V1))
}

/// Takes `name=value` or `name="quoted"` off the front, with the space behind it; nothing at all is an empty pair.
///
/// Source: RFC 9110, 5.6.6. White space around `=` is not allowed there, and not here.
fn take_parameter(text: &str) -> Option<(&str, String, &str)> {
    if text.is_empty() || text.starts_with(';') {
        return Some(("", String::new(), text));
    }
    let (name, rest) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = take_quoted(quoted)?;
        return Some((name, value, trim(rest)));
    }
    let end = rest.bytes().position(|b| !is_token(b)).unwrap_or(rest.len());
    let (value, rest) = rest.split_at_checked(end)?;
    (!value.is_empty()).then(|| (name, value.to_owned(), trim(rest)))
}

/// The text up to the closing quote with its backslashes resolved, and what follows the quote.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, '\\') => value.push(chars.next()?.1),
            (_, c) => value.push(c),
        }
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_name_a_message_or_nothing() {
        let (v1, v2) = (Some(WriteMessage::V1), Some(WriteMessage::V2));
        for (content_type, message) in [
            ("", v1),
            ("  ", v1),
            ("application/x-protobuf", v1),
            ("Application/X-Protobuf ", v1),
            ("application/x-protobuf;", v1),
            ("application/x-protobuf ; ; charset=utf-8", v1),
            ("application/x-protobuf;proto=prometheus.WriteRequest", v1),
            ("application/x-protobuf; proto=\"prometheus.WriteRequest\"", v1),
            ("application/x-protobuf\t;\tPROTO=prometheus.WriteRequest", v1),
            ("application/x-protobuf;a=\"x;proto=z\";proto=prometheus.WriteRequest ; b=c", v1),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", v2),
            ("application/x-protobuf; proto=\"io.prometheus.write.v2\\.Request\"", v2),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request;proto=prometheus.WriteRequest", None),
            ("application/x-protobuf;proto=io.prometheus.write.v3.Request", None),
            ("application/x-protobuf;proto=PROMETHEUS.writerequest", None),
            ("application/x-protobuf;proto=", None),
            ("application/x-protobuf;proto", None),
            ("application/x-protobuf;proto = prometheus.WriteRequest", None),
            ("application/x-protobuf;proto=\"prometheus.WriteRequest", None),
            ("application/x-protobuf;proto=prometheus.WriteRequest x", None),
            ("application/x-protobuf, application/json", None),
            ("application/json", None),
            ("image/png", None),
            ("application/protobuf", None),
            (";proto=prometheus.WriteRequest", None),
            ("application/x-protobuf;\u{e9}=1", None),
        ] {
            assert_eq!(write_message(Some(content_type)).ok(), message, "{content_type:?}");
        }
        assert_eq!(write_message(None), Ok(WriteMessage::V1));
        let refused = write_message(Some("application/json")).unwrap_err().to_string();
        assert!(refused.starts_with("unsupported content type \"application/json\", supported: "), "{refused}");
    }

    #[test]
    fn snappy_or_nothing_is_the_encoding() {
        for encoding in [None, Some(""), Some("snappy"), Some(" Snappy ")] {
            assert_eq!(check_content_encoding(encoding), Ok(()), "{encoding:?}");
        }
        for encoding in ["gzip", "deflate", "zstd", "identity", "snappy, gzip", "snappy;q=1"] {
            assert!(check_content_encoding(Some(encoding)).is_err(), "{encoding:?}");
        }
    }
}
