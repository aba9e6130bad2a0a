//! Whether a program runs without anything beside it.

use anyhow::{Context, Result, bail};
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// Fails unless `program` is a 64-bit ELF file that names neither an interpreter nor a library.
///
/// A static position-independent program has a dynamic section all the same, for its relocations.
pub fn check_static(program: &[u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(program).context("not a 64-bit ELF file")?;
    let endian = header.endian().context("not a 64-bit ELF file")?;
    for segment in header.program_headers(endian, program).context("its segments are cut off")? {
        if segment.p_type(endian) == PT_INTERP {
            bail!("it is linked dynamically: it names an interpreter");
        }
        let entries = segment.dynamic(endian, program).context("its dynamic section is cut off")?;
        let needs = |entry: &_| Dyn::tag(entry, endian) == DT_NEEDED;
        if entries.unwrap_or_default().iter().any(needs) {
            bail!("it is linked dynamically: it needs libraries");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_dynamic_program_is_refused() {
        // Tests are linked for the host, whose C library is shared.
        let own = fs::read("/proc/self/exe").unwrap();
        let error = check_static(&own).unwrap_err().to_string();
        assert!(error.contains("linked dynamically"), "{error}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(check_static(b"#!/bin/sh\n").is_err());
        assert!(check_static(b"").is_err());
    }

    #[test]
    fn a_program_without_an_interpreter_and_libraries_is_accepted() {
        check_static(&header_only()).unwrap();
    }

    /// The smallest file that is an x86-64 program with no segments.
    fn header_only() -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16] = 2; // ET_EXEC
        file[18] = 62; // EM_X86_64
        file[20] = 1; // EV_CURRENT
        file[52] = 64; // e_ehsize
        file[54] = 56; // e_phentsize
        file
    }
}
