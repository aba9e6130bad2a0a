//! An image's name, as container runtimes store it.

use std::str::FromStr;

use anyhow::{Result, bail, ensure};

/// The registry that a name without one belongs to.
const DEFAULT_REGISTRY: &str = "docker.io";

/// A full name with a tag, such as `docker.io/library/busybox:1.37`.
///
/// Kubelets look an image up by its full name, so an archive that holds the short one is imported
/// but never found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Registry, repository and tag.
    pub full: String,
    /// The tag alone.
    pub tag: String,
}

impl FromStr for Reference {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(
            !text.contains('@'),
            "'{text}' has a digest: an image is named by a tag, as in name:1.0"
        );
        let Some((name, tag)) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) else {
            bail!("'{text}' has no tag: write it as in name:1.0");
        };
        check(text, name, "abcdefghijklmnopqrstuvwxyz0123456789._-/:")?;
        check(text, &tag.to_ascii_lowercase(), "abcdefghijklmnopqrstuvwxyz0123456789._-")?;
        let name = match name.split_once('/') {
            Some((first, _)) if is_registry(first) => name.to_owned(),
            Some(_) => format!("{DEFAULT_REGISTRY}/{name}"),
            None => format!("{DEFAULT_REGISTRY}/library/{name}"),
        };
        Ok(Self { full: format!("{name}:{tag}"), tag: tag.to_owned() })
    }
}

/// A first component is a registry when it looks like a host (distribution/reference says so).
fn is_registry(component: &str) -> bool {
    component.contains(['.', ':']) || component == "localhost"
}

fn check(whole: &str, part: &str, allowed: &str) -> Result<()> {
    ensure!(!part.is_empty(), "'{whole}' is no image name: a part of it is empty");
    match part.chars().find(|character| !allowed.contains(*character)) {
        Some(wrong) => bail!("'{whole}' is no image name: '{wrong}' may not stand there"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<Reference>().unwrap().full
    }

    #[test]
    fn a_short_name_becomes_the_one_that_a_kubelet_asks_for() {
        assert_eq!(full("fairlead:1"), "docker.io/library/fairlead:1");
        assert_eq!(full("fairlead/fairlead:1"), "docker.io/fairlead/fairlead:1");
    }

    #[test]
    fn a_name_with_a_registry_stays() {
        assert_eq!(full("localhost/fairlead:1"), "localhost/fairlead:1");
        assert_eq!(full("10.0.0.1:5000/fairlead:v1.0-RC"), "10.0.0.1:5000/fairlead:v1.0-RC");
    }

    #[test]
    fn a_name_without_a_tag_or_with_other_characters_is_refused() {
        for wrong in
            ["fairlead", "localhost:5000/fairlead", "Fairlead:1", "f:", ":1", "f:a b", "f@sha256:1"]
        {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
