//! The built-in rules over the series of real engines, and what a file may not say.

use control::{Control, Endpoint, EndpointView, Endpoints, Place};

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
            &[("__name__", "vllm:e2e_request_latency_seconds")],
            &[r#"inference_request_duration_seconds{project_id="acme"} x1"#],
        ),
        // A native histogram in another unit would need other bounds.
        (&[("__name__", "ray_serve_deployment_processing_latency_ms")], &[]),
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

/// A registry with two endpoints of project `acme`, one of which says where it runs.
fn registry() -> (tempfile::TempDir, EndpointView) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    let (control, project) = (Control::open(&path).unwrap(), ProjectId::parse("acme").unwrap());
    control.create_project("acme", Some(project.clone()), 0).unwrap();
    let endpoint = Endpoint {
        model: Some("m".to_owned()),
        tier: Some("pt".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..Endpoint::new(project.clone(), "ep_1", "acme", "chat-70b")
    };
    control.set_endpoint(&endpoint).unwrap();
    let places = ["vm/vm-7", "gpu/n1/0", "node/n2"].map(|place| Place::parse(place).unwrap()).to_vec();
    let placed = Endpoint { places, ..Endpoint::new(project, "ep_7", "acme", "embed") };
    control.set_endpoint(&placed).unwrap();
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
fn series_of_a_place_belong_to_the_endpoint_there() {
    let (_dir, endpoints) = registry();
    for (series, replica) in [
        // The rest is what the labels are called by their exporters.
        (&[("__name__", "crusoe_vm_cpu_seconds_total"), ("vm_id", "vm-7")][..], Some("vm-7")),
        (&[("__name__", "DCGM_FI_DEV_GPU_UTIL"), ("Hostname", "n1"), ("gpu", "0")], Some("n1")),
        (&[("__name__", "DCGM_FI_DEV_GPU_UTIL"), ("Hostname", "n1"), ("gpu", "1")], None),
        (&[("__name__", "gpu_gfx_activity"), ("hostname", "n1"), ("gpu_id", "0")], Some("n1")),
        (&[("__name__", "node_load1"), ("instance", "n2:9100")], Some("n2")),
        (&[("__name__", "node_load1"), ("instance", "n3:9100")], None),
        (&[("__name__", "vllm:num_requests_running"), ("instance", "n2:8000")], Some("n2")),
        (&[("__name__", "vllm:num_requests_running"), ("vm_id", "vm-7"), ("pod", "embed-a-b")], Some("a-b")),
    ] {
        let mut builder = LabelsBuilder::new(&labels(series));
        Mapping::built_in().identify(&mut builder, &endpoints);
        let expect = replica.map(|replica| ("ep_7", replica));
        assert_eq!(builder.get("endpoint_id").zip(builder.get("replica_id")), expect, "{series:?}");
    }
    let other = Labels::from_pairs([("__name__", "x"), ("vm_id", "vm-7"), ("project_id", "other")]);
    let mut builder = LabelsBuilder::new(&other);
    Mapping::built_in().identify(&mut builder, &endpoints);
    assert_eq!(builder.build(), other, "a place is its project's");
}

#[test]
fn labels_get_the_names_that_everyone_uses_and_keep_their_own() {
    let (_dir, endpoints) = registry();
    for (series, expect) in [
        (
            &[("__name__", "DCGM_FI_DEV_GPU_TEMP"), ("Hostname", "h"), ("UUID", "GPU-1"), ("modelName", "H100")][..],
            r#"DCGM_FI_DEV_GPU_TEMP{Hostname="h", UUID="GPU-1", gpu_model="H100", gpu_uuid="GPU-1", modelName="H100", node="h", project_id="acme"}"#,
        ),
        (
            &[("__name__", "gpu_used_vram"), ("gpu_id", "3"), ("hostname", "h"), ("node", "own")],
            r#"gpu_used_vram{gpu="3", gpu_id="3", hostname="h", node="own", project_id="acme"}"#,
        ),
        (
            &[("__name__", "nvidia_smi_gpu_info"), ("name", "L4"), ("uuid", "u"), ("instance", "[fe80::1]:9835")],
            r#"nvidia_smi_gpu_info{gpu_model="L4", gpu_uuid="u", instance="[fe80::1]:9835", name="L4", node="[fe80::1]", project_id="acme", uuid="u"}"#,
        ),
        (
            &[("__name__", "nv_inference_count"), ("model", "m"), ("version", "1")],
            r#"nv_inference_count{model="m", model_name="m", project_id="acme", version="1"}"#,
        ),
        (
            &[("__name__", "gen_ai_server_request_duration_seconds_sum"), ("gen_ai_request_model", "m")],
            r#"gen_ai_server_request_duration_seconds_sum{gen_ai_request_model="m", model_name="m", project_id="acme"}"#,
        ),
        (
            &[("__name__", "istio_requests_total"), ("response_code", "503")],
            r#"istio_requests_total{project_id="acme", response_code="503", status_code="503"}"#,
        ),
        (
            &[("__name__", "ray_serve_deployment_request_counter_total"), ("replica", "d#1")],
            r#"ray_serve_deployment_request_counter_total{project_id="acme", replica="d#1", replica_id="d#1"}"#,
        ),
        (
            &[("__name__", "vllm:num_requests_running"), ("endpoint_id", "ep_1"), ("instance", "10.0.0.7:8000")],
            r#"vllm:num_requests_running{endpoint="chat-70b", endpoint_id="ep_1", instance="10.0.0.7:8000", model_name="m", project_id="acme", region="us-east-1", replica_id="10.0.0.7:8000", service_tier="pt"}"#,
        ),
        (
            &[("__name__", "node_load1"), ("Hostname", "h"), ("code", "200")],
            r#"node_load1{Hostname="h", code="200", project_id="acme"}"#,
        ),
    ] {
        let mut builder = LabelsBuilder::new(&labels(series));
        Mapping::built_in().identify(&mut builder, &endpoints);
        assert_eq!(builder.build().to_string(), expect);
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
        ("renames: [{families: [x], labels: {a: ['b c']}}]", "\"b c\" is no label name"),
        ("renames: [{families: [''], labels: {a: [b]}}]", "may not be empty"),
        ("renames: [{families: [x]}]", "missing field `labels`"),
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
