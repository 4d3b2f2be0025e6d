//! The built-in rules over the series of real engines, and what a file may not say.

use control::{Control, Endpoint, EndpointView, Endpoints};

use super::*;

fn labels(text: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(text.iter().copied().chain([("project_id", "acme")]))
}

/// The open copies of a series, as text with their factors.
fn copies(mapping: &Mapping, series: &[(&str, &str)]) -> Vec<String> {
    let copies = mapping.copies(&labels(series)).into_iter().filter(|copy| !copy.closed.load(Relaxed));
    copies.map(|copy| format!("{} x{}", copy.labels, copy.factor)).collect()
}

#[test]
fn engines_feed_the_canonical_and_the_crusoe_families() {
    let mapping = Mapping::built_in();
    for (series, expect) in [
        (
            &[("__name__", "vllm:prompt_tokens_total"), ("model_name", "m"), ("replica_id", "r"), ("engine", "0")][..],
            &[
                r#"crusoe_inference_input_token_count{engine="0", model_name="m", project_id="acme", replica_id="r", service_tier="on_demand"} x1"#,
                r#"inference_prompt_tokens_total{engine="0", model_name="m", project_id="acme", replica_id="r"} x1"#,
            ][..],
        ),
        (
            &[("__name__", "kserve_vllm:request_success_total"), ("finished_reason", "stop"), ("service_tier", "pt")],
            &[r#"crusoe_inference_request_count{finished_reason="stop", project_id="acme", service_tier="pt"} x1"#],
        ),
        (
            &[("__name__", "nv_inference_first_response_histogram_ms_bucket"), ("le", "250"), ("model", "m")],
            &[
                r#"crusoe_inference_histogram_first_token_latency_bucket{le="0.25", model="m", model_name="m", project_id="acme", service_tier="on_demand"} x1"#,
                r#"inference_time_to_first_token_seconds_bucket{le="0.25", model="m", model_name="m", project_id="acme"} x1"#,
            ],
        ),
        (
            &[("__name__", "ray_serve_deployment_processing_latency_ms_sum"), ("deployment", "d")],
            &[r#"inference_request_duration_seconds_sum{deployment="d", project_id="acme"} x0.001"#],
        ),
        (
            &[("__name__", "nv_trt_llm_request_metrics"), ("request_type", "waiting")],
            &[r#"inference_requests_queued{project_id="acme", request_type="waiting"} x1"#],
        ),
        (&[("__name__", "nv_trt_llm_request_metrics"), ("request_type", "max")], &[]),
        (&[("__name__", "node_cpu_seconds_total"), ("mode", "idle")], &[]),
        (&[("__name__", "vllm:time_to_first_token_seconds_created")], &[]),
    ] {
        assert_eq!(copies(&mapping, series), expect, "{series:?}");
    }
}

#[test]
fn whoever_sends_a_name_himself_gets_no_copies_of_it() {
    let mapping = Mapping::built_in();
    let source = [("__name__", "vllm:prompt_tokens_total")];
    let before = mapping.copies(&labels(&source));
    assert!(before.iter().all(|copy| !copy.closed.load(Relaxed)));
    assert!(before.iter().all(|copy| copy.family.is_some()));
    assert_eq!(copies(&mapping, &[("__name__", "crusoe_inference_input_token_count")]), [""; 0]);
    assert_eq!(before.iter().map(|copy| copy.closed.load(Relaxed)).collect::<Vec<_>>(), [true, false]);
    let after = copies(&mapping, &source);
    assert!(after.len() == 1 && after[0].starts_with("inference_prompt_tokens_total"), "{after:?}");
    let other = Labels::from_pairs(source.into_iter().chain([("project_id", "other")]));
    assert!(mapping.copies(&other).iter().all(|copy| !copy.closed.load(Relaxed)), "other projects are not concerned");
}

#[test]
fn a_better_alternative_ends_the_worse_ones() {
    let mapping = Mapping::built_in();
    let of = |name| mapping.copies(&labels(&[("__name__", name), ("le", "1.0")]));
    let worst = of("vllm:time_per_output_token_seconds_bucket");
    assert!(worst.iter().all(|copy| !copy.closed.load(Relaxed)));
    let best = of("vllm:inter_token_latency_seconds_bucket");
    assert!(best.iter().all(|copy| !copy.closed.load(Relaxed)));
    assert!(worst.iter().all(|copy| copy.closed.load(Relaxed)));
    assert!(of("vllm:request_time_per_output_token_seconds_bucket").iter().all(|copy| copy.closed.load(Relaxed)));
    assert!(of("sglang:inter_token_latency_seconds_bucket").iter().all(|copy| !copy.closed.load(Relaxed)));
}

/// A registry with one endpoint of project `acme`.
fn registry() -> (tempfile::TempDir, EndpointView) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    let (control, project) = (Control::open(&path).unwrap(), ProjectId::parse("acme").unwrap());
    control.create_project("acme", Some(project.clone()), 0).unwrap();
    let endpoint = Endpoint {
        model: Some("m".to_owned()),
        tier: Some("pt".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..Endpoint::new(project, "ep_1", "acme", "chat-70b")
    };
    control.set_endpoint(&endpoint).unwrap();
    let view = Endpoints::open(&path).unwrap().view();
    (dir, view)
}

#[test]
fn series_get_the_identity_of_registered_endpoints() {
    let (_dir, endpoints) = registry();
    let stamped = |series: &[(&str, &str)]| {
        let mut builder = LabelsBuilder::new(&labels(series));
        Mapping::built_in().identify(&mut builder, &endpoints);
        builder.build().to_string()
    };
    for (series, expect) in [
        (
            &[
                ("__name__", "DCGM_FI_DEV_GPU_UTIL"),
                ("pod", "dcgm-x"),
                ("exported_pod", "chat-70b-fq7-hs"),
                ("gpu", "0"),
            ][..],
            r#"DCGM_FI_DEV_GPU_UTIL{endpoint="chat-70b", endpoint_id="ep_1", gpu="0", model_name="m", pod="chat-70b-fq7-hs", project_id="acme", region="us-east-1", replica_id="fq7-hs", service_tier="pt"}"#,
        ),
        (
            &[("__name__", "kube_pod_labels"), ("label_endpoint_id", "ep_1"), ("pod", "chat-70b-a-b")],
            r#"kube_pod_labels{endpoint="chat-70b", endpoint_id="ep_1", label_endpoint_id="ep_1", model_name="m", pod="chat-70b-a-b", project_id="acme", region="us-east-1", replica_id="a-b", service_tier="pt"}"#,
        ),
        (
            &[("__name__", "x"), ("endpoint_id", "ep_1"), ("model_name", "own"), ("region", "eu")],
            r#"x{endpoint="chat-70b", endpoint_id="ep_1", model_name="own", project_id="acme", region="eu", service_tier="pt"}"#,
        ),
        (&[("__name__", "x"), ("endpoint_id", "ep_2")], r#"x{endpoint_id="ep_2", project_id="acme"}"#),
        (&[("__name__", "x"), ("pod", "web-1-2")], r#"x{pod="web-1-2", project_id="acme"}"#),
        (
            &[("__name__", "node_load1"), ("exported_pod", "a"), ("pod", "b")],
            r#"node_load1{exported_pod="a", pod="b", project_id="acme"}"#,
        ),
    ] {
        assert_eq!(stamped(series), expect);
    }
}

#[test]
fn a_project_can_be_left_alone() {
    let (_dir, endpoints) = registry();
    let text = format!("{}\nprojects: {{acme: \"off\"}}\n", include_str!("default.yaml"));
    let mapping = Mapping::parse(&text).unwrap();
    assert_eq!(copies(&mapping, &[("__name__", "vllm:prompt_tokens_total")]), [""; 0]);
    let mut builder = LabelsBuilder::new(&labels(&[("__name__", "x"), ("endpoint_id", "ep_1")]));
    mapping.identify(&mut builder, &endpoints);
    assert_eq!(builder.build(), labels(&[("__name__", "x"), ("endpoint_id", "ep_1")]));
}

#[test]
fn what_is_no_mapping_is_refused_by_place_and_reason() {
    for (text, expect) in [
        ("copy: []", "unknown field `copy`"),
        ("copies: [{from: [a], to: [b], kind: counter, factor: 2}]", "unknown field `factor`"),
        ("copies: [{from: [a], to: [b]}]", "missing field `kind`"),
        ("copies: [{from: [], to: [b], kind: counter}]", "copies[0]: `from` has 0 names, bounds 1 to 16"),
        ("copies: [{from: [a], to: ['b c'], kind: counter}]", "copies[0]: `to`: \"b c\" is no metric name"),
        ("copies: [{from: [a], to: [a], kind: counter}]", "copies[0]: a would be a copy of itself"),
        ("copies: [{from: [a], to: [b], kind: gauge, scale: 0}]", "copies[0]: scale is 0, must be"),
        ("copies: [{from: [a], to: [b], kind: gauge, scale: .nan}]", "scale is NaN"),
        ("copies: [{from: [a], to: [b], kind: summary}]", "unknown variant `summary`"),
        ("identity: ['a b']", "\"a b\" is no label name"),
        ("projects: {'A b': off}", "projects: "),
        ("spellings: {'': [x]}", "may not be empty"),
        ("- a", "invalid type"),
    ] {
        let refused = Mapping::parse(text).unwrap_err();
        assert!(refused.contains(expect), "{text}: {refused}");
    }
    Mapping::off();
}
