//! Bytes in, bytes out.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it says")]

mod common;

use common::*;
use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, Name};
use domain::rdata::AllRecordData;
use fairlead_dns::core::{MAX_UDP, OptRcode, Reply, Rtype, Transport, Zone, respond};
use proptest::prelude::*;

fn question(name: &str, rtype: Rtype, edns: Option<u16>) -> Vec<u8> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(0x1234);
    message.header_mut().set_rd(true);
    let mut question = message.question();
    question.push((Name::vec_from_str(name).unwrap(), rtype)).unwrap();
    let mut additional = question.additional();
    if let Some(size) = edns {
        additional
            .opt(|opt| {
                opt.set_udp_payload_size(size);
                Ok(())
            })
            .unwrap();
    }
    additional.finish()
}

fn sent(zone: &Zone, bytes: &[u8], transport: Transport) -> Option<(Message<Vec<u8>>, OptRcode)> {
    match respond(zone, bytes, transport) {
        Reply::Send { bytes, rcode, .. } => Some((Message::from_octets(bytes).unwrap(), rcode)),
        Reply::Ignore | Reply::Forward(_) => None,
    }
}

fn udp(zone: &Zone, bytes: &[u8]) -> Message<Vec<u8>> {
    sent(zone, bytes, Transport::Udp).expect("an answer").0
}

#[test]
fn the_questions_spelling_is_repeated_and_answered_under() {
    let bytes = question("WEB.deFAULT.svc.Cluster.LOCAL", Rtype::A, None);
    let answer = udp(&example(), &bytes);
    assert_eq!(answer.as_slice()[12..42], bytes[12..42]);
    let header = answer.header();
    assert!(header.qr() && header.aa() && header.rd() && header.ra() && !header.tc());
    assert_eq!(header.id(), 0x1234);
    let record = answer.answer().unwrap().next().unwrap().unwrap();
    assert_eq!(record.owner().to_string(), "WEB.deFAULT.svc.Cluster.LOCAL");
    assert_eq!(record.ttl().as_secs(), 5);
}

#[test]
fn a_large_answer_is_cut_at_what_the_client_takes() {
    let zone = crowd(100);
    let name = "crowd.default.svc.cluster.local";
    for (edns, limit) in
        [(None, 512), (Some(0), 512), (Some(700), 700), (Some(1232), 1232), (Some(65535), MAX_UDP)]
    {
        let answer = udp(&zone, &question(name, Rtype::A, edns));
        let length = answer.as_slice().len();
        assert!(answer.header().tc(), "{edns:?}");
        assert!(length <= limit && length + 16 > limit, "{edns:?}: {length} bytes");
        assert_eq!(answer.opt().is_some(), edns.is_some());
    }
    let (answer, _) = sent(&zone, &question(name, Rtype::A, None), Transport::Tcp).unwrap();
    assert!(!answer.header().tc());
    assert_eq!(answer.header_counts().ancount(), 100);
}

#[test]
fn a_stream_has_a_limit_too() {
    let question = question("crowd.default.svc.cluster.local", Rtype::A, Some(1232));
    let (answer, _) = sent(&crowd(5000), &question, Transport::Tcp).unwrap();
    assert!(answer.header().tc());
    assert!(answer.as_slice().len() > 65_000);
}

#[test]
fn glue_that_does_not_fit_is_left_out_without_a_mark() {
    let zone = crowd(7);
    let question = question("_http._tcp.crowd.default.svc.cluster.local", Rtype::SRV, None);
    let answer = udp(&zone, &question);
    assert!(!answer.header().tc());
    assert_eq!(answer.header_counts().ancount(), 7);
    assert!(answer.header_counts().arcount() < 7);
}

#[test]
fn clients_that_take_the_first_address_do_not_all_take_the_same() {
    let zone = crowd(3);
    let mut firsts = std::collections::BTreeSet::new();
    for id in 0..3u8 {
        let mut question = question("crowd.default.svc.cluster.local", Rtype::A, None);
        question[1] = id;
        let answer = udp(&zone, &question);
        let first = answer.answer().unwrap().limit_to::<domain::rdata::A>().next().unwrap();
        firsts.insert(first.unwrap().data().addr());
    }
    assert_eq!(firsts.len(), 3);
}

#[test]
fn an_unknown_version_of_edns_is_told_ours() {
    let mut bytes = question("web.default.svc.cluster.local", Rtype::A, Some(1232));
    // Version is the second byte of the TTL; the record is 11 bytes long and the last.
    let at = bytes.len() - 5;
    bytes[at] = 1;
    let (answer, rcode) = sent(&example(), &bytes, Transport::Udp).unwrap();
    assert_eq!(rcode, OptRcode::BADVERS);
    assert_eq!(answer.opt_rcode(), OptRcode::BADVERS);
    assert_eq!(answer.opt().unwrap().version(), 0);
    assert_eq!(answer.header_counts().ancount(), 0);
}

#[test]
fn what_is_no_plain_question_is_refused_by_its_kind() {
    let zone = example();
    let good = question("web.default.svc.cluster.local", Rtype::A, None);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        sent(&zone, &bytes, Transport::Udp).map(|(m, _)| m.header().rcode())
    };
    let last = good.len() - 1;
    assert_eq!(changed(&|_| ()), Some(Rcode::NOERROR));
    assert_eq!(changed(&|b| b[2] |= 0x80), None, "an answer");
    assert_eq!(changed(&|b| b.truncate(11)), None, "less than a header");
    assert_eq!(changed(&|b| b.truncate(12)), Some(Rcode::FORMERR), "a header alone");
    assert_eq!(changed(&|b| b.truncate(20)), Some(Rcode::FORMERR), "broken off");
    assert_eq!(changed(&|b| b[5] = 0), Some(Rcode::FORMERR), "no question");
    assert_eq!(changed(&|b| b[5] = 2), Some(Rcode::FORMERR), "two questions");
    assert_eq!(changed(&|b| b[11] = 1), Some(Rcode::FORMERR), "a record that is not there");
    assert_eq!(changed(&|b| b[2] = Opcode::UPDATE.to_int() << 3), Some(Rcode::NOTIMP));
    assert_eq!(changed(&|b| b[last] = Class::CH.to_int() as u8), Some(Rcode::REFUSED));
    assert_eq!(changed(&|b| b[last - 2] = 252), Some(Rcode::REFUSED), "a zone transfer");
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let two = changed(&|b| {
        b[11] = 2;
        b.extend(opt);
        b.extend(opt);
    });
    assert_eq!(two, Some(Rcode::FORMERR), "two OPT records");
}

#[test]
fn an_alias_without_recursion_desired_is_answered_alone() {
    let mut bytes = question("ext.default.svc.cluster.local", Rtype::A, None);
    assert!(matches!(respond(&example(), &bytes, Transport::Udp), Reply::Forward(_)));
    bytes[2] = 0;
    let answer = udp(&example(), &bytes);
    assert_eq!(answer.header_counts().ancount(), 1);
}

#[test]
fn an_unread_cluster_fails_instead_of_denying() {
    let zone = zone(&[]);
    let bytes = question("web.default.svc.cluster.local", Rtype::A, None);
    assert_eq!(udp(&zone, &bytes).header().rcode(), Rcode::SERVFAIL);
}

/// Reads everything there is in a message.
fn parses(message: &[u8]) -> bool {
    let Ok(message) = Message::from_octets(message) else { return false };
    let question = message.question().all(|q| q.is_ok());
    let records = message
        .iter()
        .all(|r| r.is_ok_and(|(record, _)| record.to_record::<AllRecordData<_, _>>().is_ok()));
    question && records && message.sections().is_ok()
}

fn check(zone: &Zone, bytes: &[u8], transport: Transport) {
    match respond(zone, bytes, transport) {
        Reply::Send { bytes: answer, .. } => {
            assert!(parses(&answer), "{answer:02x?}");
            assert!(answer.len() <= if transport == Transport::Tcp { 65_535 } else { MAX_UDP });
            assert_eq!(answer[..2], bytes[..2]);
            assert!(Message::from_octets(&answer[..]).unwrap().header().qr());
        }
        Reply::Forward(query) => assert!(parses(&query.packet(7))),
        Reply::Ignore => assert!(bytes.len() < 12 || bytes[2] & 0x80 != 0),
    }
}

fn a_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "web.default.svc.cluster.local",
        "crowd.default.svc.cluster.local",
        "_http._tcp.crowd.default.svc.cluster.local",
        "db.default.svc.cluster.local",
        "1.0.96.10.in-addr.arpa",
        "cluster.local",
        "dns-version.cluster.local",
        "ext.default.svc.cluster.local",
        "example.com",
    ])
    .prop_map(String::from)
}

fn rich() -> Zone {
    let mut zone = crowd(60);
    events(&[], vec![service("default", "web", &["10.96.0.1"])], vec![])
        .into_iter()
        .chain(events(&[], vec![alias("default", "ext", "example.com")], vec![]))
        .for_each(|e| zone.apply(&e));
    zone
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered_in_bytes_that_parse(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        check(&rich(), &bytes, Transport::Udp);
    }

    #[test]
    fn damaged_questions_are_answered_in_bytes_that_parse(
        name in a_name(),
        rtype in prop_oneof![any::<u16>(), prop::sample::select(vec![1u16, 2, 5, 6, 12, 16, 28, 33, 255])],
        edns in prop::option::of(any::<u16>()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        tcp in any::<bool>(),
    ) {
        let mut bytes = question(&name, Rtype::from_int(rtype), edns);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check(&rich(), &bytes, if tcp { Transport::Tcp } else { Transport::Udp });
    }

    #[test]
    fn any_bytes_from_a_resolver_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        keep in 0usize..80,
        alias in any::<bool>(),
    ) {
        let name = if alias { "ext.default.svc.cluster.local" } else { "example.com" };
        let Reply::Forward(query) = respond(&rich(), &question(name, Rtype::A, None), Transport::Udp)
        else { panic!("forwarded") };
        // As the resolver might have begun its answer.
        let mut answer = query.packet(7);
        answer[2] |= 0x80;
        answer[7] = 3;
        answer.truncate(keep);
        answer.extend(bytes);
        if query.judge(7, &answer) != fairlead_dns::core::Verdict::Foreign {
            let Reply::Send { bytes, .. } = query.finish(answer) else { panic!("sent") };
            prop_assert!(bytes.len() <= 512);
            prop_assert!(!alias || parses(&bytes));
        }
    }
}
