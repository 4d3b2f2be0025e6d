//! The envelope around every answer of the Prometheus API.

use super::push_string;
use super::text::push_strings;

/// Annotations of a kind that are shown; the rest is counted. Source: Prometheus `web/api/v1/api.go`.
const ANNOTATIONS_SHOWN_MAX: usize = 10;

/// Writes a success: `data` writes the value of that member, which is never `null`.
pub fn push_success(data: impl FnOnce(&mut Vec<u8>), warnings: &[String], infos: &[String], into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"status\":\"success\",\"data\":");
    data(into);
    push_annotations("warnings", "warning", warnings, into);
    push_annotations("infos", "info", infos, into);
    into.push(b'}');
}

/// Writes an error of a kind such as `bad_data`.
pub fn push_error(kind: &str, message: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"status\":\"error\",\"errorType\":");
    push_string(kind, into);
    into.extend_from_slice(b",\"error\":");
    push_string(message, into);
    into.push(b'}');
}

fn push_annotations(member: &str, kind: &str, texts: &[String], into: &mut Vec<u8>) {
    if texts.is_empty() {
        return;
    }
    into.push(b',');
    push_string(member, into);
    into.push(b':');
    let n_omitted = texts.len().saturating_sub(ANNOTATIONS_SHOWN_MAX);
    let omitted = (n_omitted > 0).then(|| format!("{n_omitted} more {kind} annotations omitted"));
    push_strings(texts.iter().take(ANNOTATIONS_SHOWN_MAX).chain(&omitted).map(String::as_str), into);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(warnings: &[String], infos: &[String]) -> String {
        let mut into = Vec::new();
        push_success(|into| into.extend_from_slice(b"[]"), warnings, infos, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn annotations_follow_the_data_and_only_if_there_are_some() {
        let texts: Vec<String> = (0..12).map(|i| format!("w{i}")).collect();
        assert_eq!(success(&[], &[]), r#"{"status":"success","data":[]}"#);
        assert_eq!(success(&texts[..1], &[]), r#"{"status":"success","data":[],"warnings":["w0"]}"#);
        assert_eq!(success(&[], &texts[..1]), r#"{"status":"success","data":[],"infos":["w0"]}"#);
        let both: serde_json::Value = serde_json::from_str(&success(&texts, &texts[..10])).unwrap();
        let warnings = both["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 11);
        assert_eq!(warnings[10], "2 more warning annotations omitted");
        assert_eq!(both["infos"].as_array().unwrap().len(), 10);
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
