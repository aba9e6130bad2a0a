use serde_json::{Value, json};

use super::*;
use crate::scripted::{Server, failure};

fn target(kind: Kind, namespace: &str) -> Target {
    Target { kind, name: ObjectName::new(namespace, "fairlead") }
}

fn metadata() -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
           "metadata": {"name": "fairlead", "uid": "u-1", "labels": {"a": "b"}}})
}

#[tokio::test]
async fn an_object_is_found_by_its_metadata_or_it_is_none() {
    let server = Server::new(vec![(200, metadata()), (404, failure(404, "not found"))]);
    let role = target(Kind::Role, "kube-system");
    let found = find(&server.client(), &role).await.unwrap().unwrap();
    assert_eq!((found.uid.as_str(), found.labels["a"].as_str()), ("u-1", "b"));
    assert_eq!(find(&server.client(), &role).await.unwrap(), None);
    let asked = server.asked();
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/fairlead";
    assert!(asked[0].starts_with(&format!("GET {path}")), "{asked:?}");
}

#[tokio::test]
async fn deleting_what_is_gone_or_somebody_elses_is_fine() {
    let server = Server::new(vec![
        (200, metadata()),
        (404, failure(404, "not found")),
        (409, failure(409, "the UID in the precondition does not match")),
        (403, failure(403, "forbidden")),
    ]);
    let client = server.client();
    let role = target(Kind::ClusterRole, "");
    assert!(delete(&client, &role, None).await.unwrap());
    assert!(!delete(&client, &role, None).await.unwrap());
    assert!(!delete(&client, &role, Some("u-2")).await.unwrap());
    let e = delete(&client, &role, None).await.unwrap_err().to_string();
    assert!(e.starts_with("deleting ClusterRole fairlead: forbidden"), "{e}");
    let asked = server.asked();
    let path = "DELETE /apis/rbac.authorization.k8s.io/v1/clusterroles/fairlead";
    assert!(asked[0].starts_with(path) && asked[0].contains("Background"), "{asked:?}");
    assert!(!asked[0].contains("uid") && asked[2].contains(r#""uid":"u-2""#), "{asked:?}");
}

#[tokio::test]
async fn an_owner_is_added_to_those_that_are_there() {
    let server = Server::new(vec![(200, metadata()), (404, failure(404, "not found"))]);
    let (owner, owned) = (target(Kind::ClusterRole, ""), target(Kind::ConfigMap, "kube-system"));
    for _ in 0..2 {
        adopt(&server.client(), &owned, &owner, "u-9").await.unwrap();
    }
    let asked = server.asked();
    assert!(asked[0].starts_with("PATCH /api/v1/namespaces/kube-system/configmaps/fairlead"));
    for part in ["application/strategic-merge-patch+json", r#""uid":"u-9""#, r#""ClusterRole""#] {
        assert!(asked[0].contains(part), "{part} in {asked:?}");
    }
}
