use super::*;

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: there, context: {cluster: b, user: u}}
- {name: here, context: {cluster: a, user: u}}
clusters:
- {name: b, cluster: {server: 'https://b:6443'}}
- {name: a, cluster: {server: 'https://a.example:6443', tls-server-name: api.internal}}
users:
- {name: u, user: {client-certificate: /nowhere}}
";

fn root_with(file: &str, text: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    root
}

fn servers(options: &Options) -> Vec<String> {
    let (found, _) = candidates(options);
    found
        .into_iter()
        .map(|c| match c.how {
            How::ServiceAccount { server, .. } => server,
            How::Kubeconfig(path) => path.display().to_string(),
        })
        .collect()
}

#[test]
fn the_kubelets_server_comes_before_the_environments() {
    let root = root_with("etc/kubernetes/kubelet.conf", KUBECONFIG);
    let options = Options {
        host_root: Some(root.path().into()),
        environment: Some(("fd00:96::1".into(), "443".into())),
        ..Options::default()
    };
    assert_eq!(servers(&options), ["https://a.example:6443", "https://[fd00:96::1]:443"]);
    let (found, _) = candidates(&options);
    assert!(matches!(&found[0].how,
        How::ServiceAccount { tls_server_name: Some(name), .. } if name == "api.internal"));
}

#[test]
fn every_place_where_installers_put_the_kubelets_kubeconfig_is_read() {
    for file in KUBELET_FILES {
        let root = root_with(file, KUBECONFIG);
        let options = Options { host_root: Some(root.path().into()), ..Options::default() };
        assert_eq!(servers(&options), ["https://a.example:6443"], "{file}");
    }
}

#[test]
fn what_is_configured_is_used_alone() {
    let root = root_with("etc/kubernetes/kubelet.conf", KUBECONFIG);
    let options = Options {
        server: Some("https://set:6443".into()),
        host_root: Some(root.path().into()),
        environment: Some(("10.96.0.1".into(), "443".into())),
        ..Options::default()
    };
    assert_eq!(servers(&options), ["https://set:6443"]);
}

#[test]
fn a_broken_kubeconfig_is_named_and_passed_over() {
    let root = root_with("var/lib/kubelet/kubeconfig", "clusters: 5");
    let options = Options {
        host_root: Some(root.path().into()),
        environment: Some(("10.96.0.1".into(), "443".into())),
        ..Options::default()
    };
    let (found, missed) = candidates(&options);
    assert_eq!(found.len(), 1);
    assert!(missed[0].contains("var/lib/kubelet/kubeconfig"), "{missed:?}");
}

#[test]
fn a_kubeconfig_without_a_current_context_gives_its_first_cluster() {
    let text = "clusters: [{name: only, cluster: {server: 'https://only:6443'}}]";
    assert_eq!(server_of(text), Ok(("https://only:6443".into(), None)));
    assert!(server_of("clusters: []").unwrap_err().contains("no cluster"));
}
