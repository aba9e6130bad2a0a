//! The Internet checksum (RFC 1071).

/// The ones' complement sum of 16-bit words. Every part but the last has an even length.
pub fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let total: u64 = words
        .map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    fold(total)
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

/// The checksum after a change, from the sums of everything else before and after it.
///
/// What the checksum says stays: right stays right, and wrong stays wrong. It is not simply made
/// right, because a first fragment carries the checksum of bytes that travel in the others.
pub fn carried(stored: u16, before: u16, after: u16) -> u16 {
    let new = fold(u64::from(stored) + u64::from(before) + u64::from(!after));
    // both stand for zero; a sender's sum of anything but zeros never comes out as 0xffff
    if new == 0xffff { 0 } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_as_it_says() {
        assert_eq!(sum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), 0xddf2);
        assert_eq!(sum(&[&[0x12]]), 0x1200);
    }

    #[test]
    fn a_right_checksum_stays_right_and_a_wrong_one_wrong() {
        let (before, after) = (0x1234, 0xfedc);
        assert_eq!(carried(!before, before, after), !after);
        assert_ne!(carried(!before ^ 1, before, after), !after);
    }
}
