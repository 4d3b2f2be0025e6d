//! The envelope around every answer of the Prometheus API.

use model::Value;

use super::{Sink, certain, encode_value, push_string, push_strings};

/// Writes the answer to a query; which and how many annotations are shown is the caller's choice.
pub fn encode_success(value: &Value, warnings: &[String], infos: &[String], into: &mut Vec<u8>) {
    let data = |into: &mut Vec<u8>| {
        into.push(b'{');
        encode_value(value, into);
        into.push(b'}');
    };
    push_success(data, warnings, infos, into);
}

/// Writes a success: `data` writes the value of that member, which is never `null`.
pub fn push_success(data: impl FnOnce(&mut Vec<u8>), warnings: &[String], infos: &[String], into: &mut Vec<u8>) {
    let data = |into: &mut Vec<u8>| {
        data(into);
        Ok(())
    };
    certain(write_success(data, warnings, infos, into));
}

/// Writes a success piece by piece: `data` writes the value of that member, which is never `null`.
pub fn write_success<S: Sink>(
    data: impl FnOnce(&mut S) -> Result<(), S::Error>,
    warnings: &[String],
    infos: &[String],
    into: &mut S,
) -> Result<(), S::Error> {
    into.bytes().extend_from_slice(b"{\"status\":\"success\",\"data\":");
    data(into)?;
    push_annotations("warnings", warnings, into.bytes());
    push_annotations("infos", infos, into.bytes());
    into.bytes().push(b'}');
    Ok(())
}

/// Writes an error of a kind such as `bad_data`.
pub fn push_error(kind: &str, message: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"status\":\"error\",\"errorType\":");
    push_string(kind, into);
    into.extend_from_slice(b",\"error\":");
    push_string(message, into);
    into.push(b'}');
}

fn push_annotations(member: &str, texts: &[String], into: &mut Vec<u8>) {
    if texts.is_empty() {
        return;
    }
    into.push(b',');
    push_string(member, into);
    into.push(b':');
    push_strings(texts.iter().map(String::as_str), into);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(warnings: &[&str], infos: &[&str], expected: &str) {
        let [warnings, infos] =
            [warnings, infos].map(|texts| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let mut into = Vec::new();
        encode_success(&Value::Scalar { t: 1000, v: 0.5 }, &warnings, &infos, &mut into);
        let text = String::from_utf8(into).unwrap();
        let data = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}"#;
        assert_eq!(text, format!("{data}{expected}"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn annotations_follow_the_data_and_only_if_there_are_some() {
        check(&[], &[], "}");
        check(&["w\n"], &[], r#","warnings":["w\n"]}"#);
        check(&[], &["i"], r#","infos":["i"]}"#);
        check(&["a", "b"], &["i"], r#","warnings":["a","b"],"infos":["i"]}"#);
    }

    #[test]
    fn an_error_names_its_kind_and_is_escaped() {
        let mut into = Vec::new();
        push_error("bad_data", "invalid parameter \"query\": 1:2: parse error", &mut into);
        let expected =
            r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:2: parse error"}"#;
        assert_eq!(String::from_utf8(into).unwrap(), expected);
    }
}
