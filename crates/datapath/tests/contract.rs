//! `bpf/contract.h` and its Rust mirror say the same.

#![allow(clippy::unwrap_used, reason = "a test's fixture may panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use fairlead_datapath::OBJECT;
use fairlead_datapath::contract::{self, LAYOUTS, Way};
use support::btf::Btf;

const HEADER: &str = include_str!("../../../bpf/contract.h");

/// A struct as (size, (field, offset, size)).
type Layout = (usize, Vec<(String, usize, usize)>);

fn from_btf(btf: &Btf, name: &str) -> Option<Layout> {
    let (size, members) = btf.structure(name)?;
    let fields = members.iter().map(|m| (m.name.clone(), m.offset, btf.size(m.kind)));
    Some((size, fields.collect()))
}

fn mirrors() -> BTreeMap<&'static str, Layout> {
    let fields =
        |f: &[(&str, usize, usize)]| f.iter().map(|(n, o, s)| (n.to_string(), *o, *s)).collect();
    let mut all: BTreeMap<_, Layout> =
        LAYOUTS.iter().map(|(name, (_, size, f))| (*name, (*size, fields(f)))).collect();
    // in Rust a plain array, so that addresses compare and copy as such
    let address = size_of::<contract::RawAddr>();
    all.insert("fl_addr", (address, vec![("bytes".to_owned(), 0, address)]));
    all
}

#[test]
fn every_struct_has_the_same_fields_at_the_same_places_in_c_and_in_rust() {
    let btf = Btf::of(OBJECT);
    for (name, mirror) in mirrors() {
        // nothing of the object names the type of a ring buffer's records
        let layout = from_btf(&btf, name).unwrap_or_else(|| text::layout(HEADER, &btf, name));
        assert_eq!(layout, mirror, "struct {name}: C on the left, Rust on the right");
    }
}

#[test]
fn every_struct_that_a_map_holds_has_a_mirror() {
    let (btf, mirrors) = (Btf::of(OBJECT), mirrors());
    let maps = btf.map_types();
    assert!(maps.len() > 10 && maps["fl_endpoints"].len() == 2, "the maps are read: {maps:?}");
    for (map, types) in maps {
        for name in types.into_iter().flat_map(|id| btf.structs_in(id)) {
            assert!(
                mirrors.contains_key(name.as_str()),
                "struct {name} of map {map} has no mirror"
            );
        }
    }
}

#[test]
fn every_struct_of_the_header_has_a_mirror() {
    let mirrors = mirrors();
    for name in text::struct_names(HEADER) {
        assert!(mirrors.contains_key(name.as_str()), "struct {name} has no mirror");
    }
}

#[test]
fn no_struct_has_implicit_padding() {
    for (name, (size, fields)) in mirrors() {
        let mut end = 0;
        for (field, offset, size) in fields {
            assert_eq!(offset, end, "a hole before {name}.{field}");
            end = offset + size;
        }
        assert_eq!(end, size, "a hole at the end of {name}");
    }
}

#[test]
fn drop_reasons_have_the_same_names_sentences_and_order() {
    let list = text::between(HEADER, "#define FL_DROP_REASONS(X)", "enum fl_drop_reason");
    let reasons: Vec<(String, String)> = list
        .split("X(")
        .skip(1)
        .map(|entry| {
            let (name, rest) = entry.split_once(", \"").expect("a name and a sentence");
            let (sentence, _) = rest.split_once("\")").expect("the sentence ends");
            (name.to_owned(), sentence.to_owned())
        })
        .collect();
    let rust: Vec<(String, String)> =
        contract::DROP_REASONS.iter().map(|(n, s)| (n.to_string(), s.to_string())).collect();
    assert_eq!(reasons, rust);
}

#[test]
fn hooks_and_ways_of_forwarding_have_the_same_names_and_order() {
    let spoken = |name: &str| name.to_lowercase().replace('_', "-");
    for (name, prefix, rust) in [
        ("fl_hook", "FL_HOOK_", contract::HOOKS),
        ("fl_forward", "FL_FORWARD_", contract::FORWARDS),
    ] {
        let mut values = text::enumerators(HEADER, name, prefix);
        assert_eq!(values.pop().expect("values").0, "COUNT");
        let names: Vec<String> = values.iter().map(|(n, _)| spoken(n)).collect();
        assert_eq!(names, rust, "enum {name}");
        assert!(
            values.iter().map(|v| v.1).eq(0..rust.len()),
            "enum {name} counts from zero: {values:?}"
        );
    }
}

#[test]
fn ways_to_nodes_have_the_same_numbers() {
    let rust = [Way::Local, Way::Direct, Way::Vxlan, Way::Kernel];
    let rust = rust.map(|way| (format!("{way:?}").to_uppercase(), way as usize));
    assert_eq!(text::enumerators(HEADER, "fl_way", "FL_WAY_"), rust);
}

#[test]
fn the_model_has_the_numbers_of_actions_and_reasons() {
    use fairlead_reference::{Action, Reason};
    let actions =
        [Action::Pass, Action::Drop, Action::ToPod, Action::ToNeighbour, Action::ToTunnel];
    let numbers = actions.map(|a| (a as usize, format!("{a:?}").to_lowercase()));
    let header = text::enumerators(HEADER, "fl_action", "FL_ACTION_");
    let header: Vec<_> =
        header.iter().map(|(n, v)| (*v, n.replace('_', "").to_lowercase())).collect();
    assert_eq!(numbers, *header);
    for reason in [
        Reason::None,
        Reason::NatExhausted,
        Reason::FragmentOrder,
        Reason::ExtensionHeaders,
        Reason::NatStale,
    ] {
        let name = contract::DROP_REASONS[reason as usize].0.replace('_', "").to_lowercase();
        assert_eq!(name, format!("{reason:?}").to_lowercase());
    }
}

#[test]
fn flags_have_the_same_values() {
    for (name, value) in [
        ("FL_CONFIG_EVENTS_NEW", contract::CONFIG_EVENTS_NEW),
        ("FL_CONFIG_RECORD", contract::CONFIG_RECORD),
        ("FL_NAT_CLOSING", contract::NAT_CLOSING),
        ("FL_SOCK_DGRAMS", contract::SockDgrams::default().entries.len() as u32),
    ] {
        let line = HEADER.lines().find(|l| l.split(' ').nth(1) == Some(name)).expect("a define");
        let text = line.split_whitespace().nth(2).expect("a value");
        let parsed = match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => text.parse(),
        };
        assert_eq!(parsed, Ok(value), "{name}");
    }
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = LAYOUTS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), LAYOUTS.len());
}

/// What the object's BTF does not have, from the header's text.
mod text {
    use super::{Btf, Layout};

    pub fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
        let (_, rest) =
            text.split_once(from).unwrap_or_else(|| panic!("no {from:?} in the header"));
        rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} behind {from:?}")).0
    }

    pub fn struct_names(text: &str) -> Vec<String> {
        let lines = text.lines().filter_map(|l| l.strip_prefix("struct ")?.strip_suffix(" {"));
        lines.map(str::to_owned).collect()
    }

    /// Names without the prefix, and numbers.
    pub fn enumerators(text: &str, name: &str, prefix: &str) -> Vec<(String, usize)> {
        let body = between(text, &format!("enum {name} {{"), "};");
        let lines = body.lines().filter_map(|line| line.trim().strip_prefix(prefix));
        lines
            .map(|line| {
                let (name, rest) = line.split_once(" = ").expect("a number");
                let number = rest.split(',').next().expect("a number");
                (name.to_owned(), number.parse().expect("a number"))
            })
            .collect()
    }

    /// Fields one behind the other, each at a multiple of its alignment.
    pub fn layout(text: &str, btf: &Btf, name: &str) -> Layout {
        let body = between(text, &format!("struct {name} {{"), "\n};");
        let (mut end, mut fields) = (0usize, Vec::new());
        for line in body.lines().filter(|line| line.contains(';')) {
            let declaration = line.split(';').next().expect("before it").trim();
            let (kind, field) = declaration.rsplit_once(' ').expect("a type and a name");
            let (field, count) = match field.split_once('[') {
                Some((field, n)) => (field, n.trim_end_matches(']').parse().expect("a number")),
                None => (field, 1),
            };
            let (size, align) = size_of(kind, btf);
            let offset = end.next_multiple_of(align);
            fields.push((field.to_owned(), offset, size * count));
            end = offset + size * count;
        }
        (end.next_multiple_of(8), fields)
    }

    fn size_of(kind: &str, btf: &Btf) -> (usize, usize) {
        match kind {
            "__u8" => (1, 1),
            "__u16" | "__be16" => (2, 2),
            "__u32" | "__be32" => (4, 4),
            "__u64" => (8, 8),
            "struct fl_addr" => (16, 1),
            "struct fl_tuple" => (btf.structure("fl_tuple").expect("in the object").0, 2),
            other => panic!("the size of {other} is not known here"),
        }
    }
}
