//! Against a model of an API server that knows the manifest: its objects, and the rights they give.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use fairlead_api::Error as ApiError;
use fairlead_api::removal::{Found, Kind, Target};
use fairlead_api::rollout::{PodState, Rollout};
use serde::Deserialize;
use serde_yaml_ng::Value;

use super::*;

const NODES: u32 = 3;

/// What a test lets go wrong, and what has become of the cluster.
#[derive(Default)]
struct Model {
    /// Has all rights, also without the manifest's.
    admin: bool,
    /// Of the nodes this one never gets ready.
    stuck: Option<u32>,
    /// After so many looks somebody applies the manifest again.
    changed_back: Option<u32>,
    /// So many of the first requests get no answer.
    away: RefCell<u32>,
    documents: Vec<Value>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Target, Found>,
    owned: BTreeSet<Target>,
    command: Vec<String>,
    looks: u32,
}

fn kind(word: &str) -> Kind {
    match word {
        "ConfigMap" => Kind::ConfigMap,
        "ServiceAccount" => Kind::ServiceAccount,
        "ClusterRole" => Kind::ClusterRole,
        "ClusterRoleBinding" => Kind::ClusterRoleBinding,
        "Role" => Kind::Role,
        "RoleBinding" => Kind::RoleBinding,
        "DaemonSet" => Kind::DaemonSet,
        "Deployment" => Kind::Deployment,
        _ => panic!("the manifest has a {word}: is it uninstalled?"),
    }
}

/// The group and name of its resource in rules.
fn resource(kind: Kind) -> (&'static str, &'static str) {
    let rbac = "rbac.authorization.k8s.io";
    match kind {
        Kind::ConfigMap => ("", "configmaps"),
        Kind::Service => ("", "services"),
        Kind::ServiceAccount => ("", "serviceaccounts"),
        Kind::DaemonSet => ("apps", "daemonsets"),
        Kind::Deployment => ("apps", "deployments"),
        Kind::Lease => ("coordination.k8s.io", "leases"),
        Kind::Role => (rbac, "roles"),
        Kind::RoleBinding => (rbac, "rolebindings"),
        Kind::ClusterRole => (rbac, "clusterroles"),
        Kind::ClusterRoleBinding => (rbac, "clusterrolebindings"),
    }
}

fn target(kind: Kind, name: &str) -> Target {
    plan::target(kind, "kube-system", name)
}

fn found(uid: &str, label: Option<(&str, &str)>) -> Found {
    let labels = label.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
    Found { uid: uid.into(), labels }
}

fn installed() -> Model {
    let manifest = include_str!("../../../../deploy/fairlead.yaml");
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(manifest)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let mut objects: BTreeMap<Target, Found> = documents
        .iter()
        .map(|d| (d["kind"].as_str().unwrap(), d["metadata"]["name"].as_str().unwrap()))
        .map(|(word, name)| (target(kind(word), name), found("u", None)))
        .collect();
    objects.insert(target(Kind::Lease, "fairlead-controller"), found("u", None));
    let label = crate::core::service::MANAGED_BY;
    objects.insert(plan::kube_dns(), found("dns", Some(label)));
    let command = ["/fairlead", "agent", "--host-root", "/host"].map(Into::into).into();
    let state = State { objects, command, ..State::default() };
    Model { documents, state: state.into(), ..Model::default() }
}

impl Model {
    fn has(&self, target: &Target) -> bool {
        self.state.borrow().objects.contains_key(target)
    }

    /// Whether rules that are bound now allow it, as RBAC decides.
    fn check(
        &self,
        verb: &str,
        (group, resource): (&str, &str),
        name: &str,
    ) -> Result<(), ApiError> {
        let mut away = self.away.borrow_mut();
        if *away > 0 {
            *away -= 1;
            return Err(ApiError::Request { what: name.into(), why: "refused".into(), code: None });
        }
        let in_force = |document: &&Value| {
            let binding = match document["kind"].as_str() {
                Some("ClusterRole") => Kind::ClusterRoleBinding,
                Some("Role") => Kind::RoleBinding,
                _ => return false,
            };
            let role = kind(document["kind"].as_str().unwrap());
            let named = document["metadata"]["name"] == plan::CONTROLLER;
            named
                && self.has(&target(role, plan::CONTROLLER))
                && self.has(&target(binding, plan::CONTROLLER))
        };
        let has = |rule: &Value, key: &str, word: &str| {
            rule[key].as_sequence().is_some_and(|words| words.iter().any(|w| w == word))
        };
        let allows = |rule: &Value| {
            has(rule, "apiGroups", group)
                && has(rule, "resources", resource)
                && has(rule, "verbs", verb)
                && (rule["resourceNames"].is_null() || has(rule, "resourceNames", name))
        };
        let account = self.has(&target(Kind::ServiceAccount, plan::CONTROLLER));
        let rules = self.documents.iter().filter(in_force).filter_map(|d| d["rules"].as_sequence());
        if self.admin || account && rules.flatten().any(allows) {
            return Ok(());
        }
        let what = format!("{verb} {resource}.{group} {name}");
        Err(ApiError::Request { what, why: "forbidden".into(), code: Some(403) })
    }

    /// What Kubernetes does by itself, after which this is what is left.
    fn collect_garbage(&self) -> Vec<String> {
        let owner = self.has(&target(Kind::ClusterRole, plan::CONTROLLER));
        let mut state = self.state.borrow_mut();
        let owned = std::mem::take(&mut state.owned);
        if !owner {
            state.objects.retain(|target, _| !owned.contains(target));
        }
        state.objects.keys().map(ToString::to_string).collect()
    }
}

impl Cluster for Model {
    async fn find(&self, target: &Target) -> Result<Option<Found>, ApiError> {
        self.check("get", resource(target.kind), &target.name.name)?;
        Ok(self.state.borrow().objects.get(target).cloned())
    }

    async fn delete(&self, target: &Target, uid: Option<&str>) -> Result<bool, ApiError> {
        self.check("delete", resource(target.kind), &target.name.name)?;
        let mut state = self.state.borrow_mut();
        let there = state.objects.get(target).is_some_and(|f| uid.is_none_or(|uid| uid == f.uid));
        Ok(there && state.objects.remove(target).is_some())
    }

    async fn adopt(&self, owned: &Target, owner: &Target, uid: &str) -> Result<(), ApiError> {
        self.check("patch", resource(owned.kind), &owned.name.name)?;
        assert_eq!((owner, uid), (&target(Kind::ClusterRole, plan::CONTROLLER), "u"));
        self.state.borrow_mut().owned.insert(owned.clone());
        Ok(())
    }

    async fn agents(&self) -> Result<Option<Rollout>, ApiError> {
        self.check("get", resource(Kind::DaemonSet), plan::AGENT)?;
        if !self.has(&target(Kind::DaemonSet, plan::AGENT)) {
            return Ok(None);
        }
        let mut state = self.state.borrow_mut();
        state.looks += 1;
        if self.changed_back == Some(state.looks) {
            state.command = vec!["/fairlead".into(), "agent".into()];
        }
        let ready = (state.looks - 1).min(self.stuck.unwrap_or(NODES));
        let command = state.command.clone();
        Ok(Some(Rollout { command, observed: true, desired: NODES, updated: NODES, ready }))
    }

    async fn replace_command(&self, command: &[String]) -> Result<bool, ApiError> {
        self.check("patch", resource(Kind::DaemonSet), plan::AGENT)?;
        self.state.borrow_mut().command = command.to_vec();
        Ok(self.has(&target(Kind::DaemonSet, plan::AGENT)))
    }

    async fn pods(&self, app: &str) -> Result<Vec<PodState>, ApiError> {
        self.check("list", ("", "pods"), "")?;
        let gone = match app {
            plan::AGENT => !self.has(&target(Kind::DaemonSet, plan::AGENT)),
            _ => !self.has(&target(Kind::Deployment, plan::CONTROLLER)),
        };
        let pod = |n| PodState {
            name: format!("p{n}"),
            node: format!("n{n}"),
            command: self.state.borrow().command.clone(),
            waits: (n > self.stuck.unwrap_or(NODES)).then(|| "CrashLoopBackOff".into()),
        };
        Ok((1..=NODES).filter(|_| !gone).map(pod).collect())
    }
}

fn uninstall(model: &Model) -> (Result<(), Error>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = Options {
        timeout: Duration::from_millis(200),
        poll: Duration::from_millis(1),
        ..Options::default()
    };
    let mut lines = Vec::new();
    let result =
        runtime.block_on(run_on(model, &options, &mut |line: &str| lines.push(line.into())));
    (result, lines)
}

#[test]
fn the_controllers_own_rights_suffice_to_the_end() {
    let model = installed();
    let (result, lines) = uninstall(&model);
    result.unwrap();
    assert_eq!(
        lines[..4],
        [
            "DaemonSet fairlead-agent runs `/fairlead cleanup --wait --host-root /host` on every node",
            "1 of 3 nodes cleaned",
            "2 of 3 nodes cleaned",
            "3 of 3 nodes cleaned",
        ]
    );
    let last = &lines[lines.len() - 2..];
    assert!(last[0].contains("garbage collector"), "{lines:?}");
    assert_eq!(last[1], "Fairlead is removed from this cluster");
    assert!(
        model.has(&plan::kube_dns()),
        "it goes with its owner, when no controller makes it anew"
    );
    assert!(model.check("create", resource(Kind::Service), "kube-dns").is_err());
    assert!(model.collect_garbage().is_empty(), "{:?}", model.collect_garbage());
}

#[test]
fn an_administrator_does_not_need_the_garbage_collector() {
    let model = Model { admin: true, ..installed() };
    let (result, lines) = uninstall(&model);
    result.unwrap();
    let left: Vec<_> = model.state.borrow().objects.keys().map(ToString::to_string).collect();
    assert!(left.is_empty(), "{left:?}");
    let at = |word: &str| lines.iter().position(|line| line == word).unwrap();
    let controller = at("deleted Deployment kube-system/fairlead-controller");
    assert!(controller < at("deleted Service kube-system/kube-dns"), "{lines:?}");
    let (again, lines) = uninstall(&model);
    again.unwrap();
    assert!(!lines.iter().any(|line| line.starts_with("deleted")), "{lines:?}");
}

#[test]
fn after_an_interruption_at_any_point_it_goes_on() {
    // All that was deleted before is gone: as many runs as there are objects, each begun with one less.
    let targets: Vec<Target> = installed().state.borrow().objects.keys().cloned().collect();
    for gone in targets {
        let model = Model { admin: true, ..installed() };
        model.state.borrow_mut().objects.remove(&gone);
        uninstall(&model).0.unwrap();
        assert!(model.state.borrow().objects.is_empty(), "without {gone}");
    }
}

#[test]
fn nothing_is_deleted_while_a_node_is_not_cleaned() {
    let model = Model { stuck: Some(2), ..installed() };
    let before = model.state.borrow().objects.len();
    let (result, lines) = uninstall(&model);
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("1 of 3 nodes are not cleaned: n3 (pod p3: CrashLoopBackOff)."),
        "{error}"
    );
    assert!(error.contains("run fairlead uninstall again"), "{error}");
    assert_eq!(lines.last().unwrap(), "2 of 3 nodes cleaned");
    assert_eq!(model.state.borrow().objects.len(), before);
}

#[test]
fn agents_that_are_put_back_are_not_taken_for_cleaned_nodes() {
    let model = Model { changed_back: Some(4), ..installed() };
    let (result, _) = uninstall(&model);
    assert!(matches!(result, Err(Error::ChangedBack(command)) if command == "/fairlead agent"));
    assert!(model.has(&target(Kind::DaemonSet, plan::AGENT)));
}

#[test]
fn a_dns_service_that_is_somebody_elses_stays() {
    let model = installed();
    model.state.borrow_mut().objects.insert(plan::kube_dns(), found("theirs", None));
    let (result, lines) = uninstall(&model);
    result.unwrap();
    assert_eq!(model.collect_garbage(), ["Service kube-system/kube-dns"]);
    assert!(lines.iter().any(|line| line.contains("kube-dns stays")), "{lines:?}");
}

#[test]
fn an_api_server_that_is_away_for_a_moment_is_asked_again() {
    let model = Model { away: 5.into(), ..installed() };
    uninstall(&model).0.unwrap();
    assert!(model.collect_garbage().is_empty());
    let model = Model { away: u32::MAX.into(), ..installed() };
    let error = uninstall(&model).0.unwrap_err().to_string();
    assert!(error.contains("refused. Run fairlead uninstall again"), "{error}");
}

#[test]
fn missing_rights_end_it_at_once_with_what_to_do() {
    let mut model = installed();
    model.documents.clear();
    let error = uninstall(&model).0.unwrap_err().to_string();
    assert!(error.starts_with("get daemonsets.apps fairlead-agent: forbidden"), "{error}");
    assert!(error.contains("--kubeconfig"), "{error}");
}
