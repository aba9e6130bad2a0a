//! Types of the compiled object, from its .BTF section (kernel documentation, bpf/btf.rst).

use std::collections::BTreeMap;

use object::{Object, ObjectSection};

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const ENUM64: u32 = 19;

#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub kind: u32,
    pub offset: usize,
}

#[derive(Clone, Debug, Default)]
struct Type {
    name: String,
    kind: u32,
    /// Size in bytes, or the type that it refers to.
    size_or_type: u32,
    members: Vec<Member>,
    /// Of arrays: element type and number.
    array: (u32, u32),
}

pub struct Btf(Vec<Type>);

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> u32 {
        let (head, rest) = self.0.split_at(4);
        self.0 = rest;
        u32::from_le_bytes(head.try_into().expect("four bytes"))
    }
}

impl Btf {
    pub fn of(object: &[u8]) -> Self {
        let file = object::File::parse(object).expect("an ELF object");
        let section = file.section_by_name(".BTF").expect("it is compiled with -g");
        let data = section.data().expect("a section with bytes");
        let mut header = Reader(&data[4..24]);
        let (length, type_off, type_len, str_off) = (
            header.u32() as usize,
            header.u32() as usize,
            header.u32() as usize,
            header.u32() as usize,
        );
        let strings = &data[length + str_off..];
        let name = |at: u32| {
            let bytes = strings[at as usize..].split(|b| *b == 0).next().expect("ends with zero");
            String::from_utf8_lossy(bytes).into_owned()
        };
        let mut reader = Reader(&data[length + type_off..][..type_len]);
        // number 0 is void
        let mut types = vec![Type::default()];
        while !reader.0.is_empty() {
            types.push(read_type(&mut reader, &name));
        }
        Btf(types)
    }

    fn resolve(&self, mut id: u32) -> &Type {
        loop {
            let t = &self.0[id as usize];
            match t.kind {
                // typedef, volatile, const, restrict, type tag
                8..=11 | 18 => id = t.size_or_type,
                _ => return t,
            }
        }
    }

    pub fn size(&self, id: u32) -> usize {
        let t = self.resolve(id);
        match t.kind {
            PTR => 8,
            ARRAY => self.size(t.array.0) * t.array.1 as usize,
            _ => t.size_or_type as usize,
        }
    }

    /// Struct names that a type is or is made of.
    pub fn structs_in(&self, id: u32) -> Vec<String> {
        let t = self.resolve(id);
        match t.kind {
            ARRAY => self.structs_in(t.array.0),
            STRUCT => {
                let inner = t.members.iter().flat_map(|m| self.structs_in(m.kind));
                std::iter::once(t.name.clone()).chain(inner).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A struct's size and members.
    pub fn structure(&self, name: &str) -> Option<(usize, &[Member])> {
        let found = self.0.iter().find(|t| t.kind == STRUCT && t.name == name)?;
        Some((found.size_or_type as usize, &found.members))
    }

    /// Types of keys and values of maps, by map: a map's variable has a struct with pointers to them.
    pub fn map_types(&self) -> BTreeMap<String, Vec<u32>> {
        let section = self.0.iter().find(|t| t.kind == DATASEC && t.name == ".maps");
        let variables = section.expect("the object has maps").members.iter();
        variables
            .map(|variable| {
                let variable = &self.0[variable.kind as usize];
                let map = self.resolve(variable.size_or_type);
                let typed = map.members.iter().filter(|m| m.name == "key" || m.name == "value");
                let pointed = |m: &Member| self.resolve(m.kind).size_or_type;
                (variable.name.clone(), typed.map(pointed).collect())
            })
            .collect()
    }
}

fn read_type(reader: &mut Reader<'_>, name: &impl Fn(u32) -> String) -> Type {
    let (name_off, info, size_or_type) = (reader.u32(), reader.u32(), reader.u32());
    let (count, kind) = (info & 0xffff, info >> 24 & 0x1f);
    let bitfields = info >> 31 == 1;
    let mut t = Type { name: name(name_off), kind, size_or_type, ..Type::default() };
    let mut skip = |words: u32| (0..words).for_each(|_| _ = reader.u32());
    match kind {
        INT | VAR | DECL_TAG => skip(1),
        ENUM | FUNC_PROTO => skip(count * 2),
        ENUM64 => skip(count * 3),
        ARRAY => {
            let (element, _index, number) = (reader.u32(), reader.u32(), reader.u32());
            t.array = (element, number);
        }
        STRUCT | UNION => {
            for _ in 0..count {
                let (name_off, kind, offset) = (reader.u32(), reader.u32(), reader.u32());
                let bits = if bitfields { offset & 0x00ff_ffff } else { offset };
                t.members.push(Member { name: name(name_off), kind, offset: bits as usize / 8 });
            }
        }
        DATASEC => {
            for _ in 0..count {
                let (kind, offset, _size) = (reader.u32(), reader.u32(), reader.u32());
                t.members.push(Member { name: String::new(), kind, offset: offset as usize });
            }
        }
        _ => assert!(kind <= ENUM64, "a kind of type that is not known: {kind}"),
    }
    t
}
