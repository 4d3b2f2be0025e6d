//! Which endpoint a series belongs to: from a label that names it, from its pod's name, or from where it runs, as far as
//! it is registered.

use std::sync::Arc;

use control::{Endpoint, EndpointView, Place};
use model::{LabelsBuilder, ProjectId};

const ENDPOINT_ID: &str = "endpoint_id";
const ENDPOINT: &str = "endpoint";
const REPLICA_ID: &str = "replica_id";

/// Adds what the registry knows of the endpoint of a series. Labels that the series has stay as they are.
pub(super) fn stamp(
    labels: &mut LabelsBuilder,
    project: &ProjectId,
    names: &[String],
    endpoints: &EndpointView,
    is_engine: bool,
) {
    let Some(Found { endpoint, replica_id }) = find(labels, project, names, endpoints) else { return };
    let replica_id = replica_id.or_else(|| labels.get(super::INSTANCE).filter(|_| is_engine).map(str::to_owned));
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value
            && labels.get(name).is_none()
        {
            labels.set(name, value);
        }
    };
    add(ENDPOINT_ID, Some(&endpoint.id));
    add(ENDPOINT, Some(&endpoint.name));
    add(REPLICA_ID, replica_id.as_deref());
    add("model_name", endpoint.model.as_deref());
    add("region", endpoint.region.as_deref());
    add("cluster_id", endpoint.cluster.as_deref());
    add("service_tier", endpoint.tier.as_deref());
}

struct Found {
    endpoint: Arc<Endpoint>,
    replica_id: Option<String>,
}

fn find(labels: &LabelsBuilder, project: &ProjectId, names: &[String], endpoints: &EndpointView) -> Option<Found> {
    if let Some(id) = labels.get(ENDPOINT_ID) {
        let endpoint = endpoints.by_id(project, id)?;
        return Some(Found { endpoint, replica_id: replica_of(labels) });
    }
    let named = names.iter().filter_map(|name| labels.get(name));
    let named = named.filter_map(|name| endpoints.by_id(project, name).or_else(|| endpoints.by_name(project, name)));
    if let Some(endpoint) = named.into_iter().next() {
        return Some(Found { endpoint, replica_id: replica_of(labels) });
    }
    let of_pod = labels.get("pod").and_then(pod_parts);
    let of_pod = of_pod.and_then(|(name, replica_id)| Some((endpoints.by_name(project, name)?, replica_id)));
    if let Some((endpoint, replica_id)) = of_pod {
        return Some(Found { endpoint, replica_id: Some(replica_id.to_owned()) });
    }
    let (vm, gpu) = (labels.get("vm_id"), labels.get("gpu"));
    let node = labels.get("node").or_else(|| labels.get(super::INSTANCE).map(super::host_of));
    let endpoint = endpoints.by_place(project, || {
        let gpu = node.zip(gpu).map(|(node, gpu)| Place::gpu(node, gpu));
        [vm.map(Place::vm), gpu, node.map(Place::node)]
    })?;
    // Without a pod the machine tells one replica from the next.
    let replica_id = replica_of(labels).or_else(|| vm.or(node).map(str::to_owned));
    Some(Found { endpoint, replica_id })
}

fn replica_of(labels: &LabelsBuilder) -> Option<String> {
    pod_parts(labels.get("pod")?).map(|(_, replica)| replica.to_owned())
}

/// A pod of a deployment is called by the deployment, a hash of its template and a suffix of its own; the last two name
/// the replica.
fn pod_parts(pod: &str) -> Option<(&str, &str)> {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let (rest, suffix) = pod.rsplit_once('-')?;
    let (name, hash) = rest.rsplit_once('-')?;
    let replica = pod.get(name.len() + 1..)?;
    (!name.is_empty() && is_part(hash) && is_part(suffix)).then_some((name, replica))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_name_is_the_endpoint_and_the_replica() {
        for (pod, expect) in [
            ("chat-70b-fqwg7eri-hskoj", Some(("chat-70b", "fqwg7eri-hskoj"))),
            ("a-b-c", Some(("a", "b-c"))),
            ("chat-0", None),
            ("chat-ABC-def", None),
            ("-a-b", None),
            ("a--b", None),
            ("", None),
        ] {
            assert_eq!(pod_parts(pod), expect, "{pod:?}");
        }
    }
}
