//! What container ids and interface names may look like.

/// Longer ids could not be part of a file name; runtimes' have 64 characters.
const CONTAINER_ID_LIMIT: usize = 200;

/// Why `id` can't be a container id, if it can't. CNI spec section 2, "Parameters": it must start
/// with an alphanumeric character, followed by alphanumerics, `_`, `.` and `-`.
pub fn container_id_error(id: &str) -> Option<String> {
    if !is_word(id) {
        return Some(format!(
            "CNI_CONTAINERID {id:?} is not a container id: it must start with a letter or digit, \
             and hold only letters, digits, '_', '.' and '-'"
        ));
    }
    (id.len() > CONTAINER_ID_LIMIT).then(|| {
        format!("CNI_CONTAINERID has {} characters, the most is {CONTAINER_ID_LIMIT}", id.len())
    })
}

/// Why `name` can't be an interface's, if it can't: the kernel's own rule (dev_valid_name), which
/// the spec refers to.
pub fn ifname_error(name: &str) -> Option<String> {
    let why = match name {
        "" => "it is empty",
        "." | ".." => "it is '.' or '..'",
        _ if name.len() > 15 => "it has more than 15 bytes",
        _ if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0') => {
            "it holds '/', ':' or white space"
        }
        _ => return None,
    };
    Some(format!("CNI_IFNAME {name:?} cannot be an interface's name: {why}"))
}

/// The shape that the spec asks of container ids and network names.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}
