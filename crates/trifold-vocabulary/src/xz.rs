use std::io::{self, Read as _};

/// The largest dictionary, in bytes: larger than the largest stream, so that all of it is in reach.
#[cfg(feature = "pack")]
const MAX_DICTIONARY: u32 = 16 << 20;

/// What the decoder may take, in KiB: that dictionary and some room beside it.
const DECODER_KIB: u32 = 24 << 10;

/// Unpacks a stream of `size` bytes; anything else is an error.
pub(crate) fn unpack(packed: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size);
    let reader = lzma_rust2::XzReader::new_mem_limit(packed, false, DECODER_KIB);
    // One byte more than expected: who reads up to the end has the checksums compared, too.
    reader.take(size as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() == size {
        Ok(bytes)
    } else {
        let relation = if bytes.len() > size { "more" } else { "less" };
        let message = format!("the stream has {relation} than {size} bytes");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

/// Packs a stream: preset 6, with the settings for text.
#[cfg(feature = "pack")]
pub(crate) fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    use std::io::Write as _;

    let mut options = lzma_rust2::XzOptions::with_preset(6);
    let lzma = &mut options.lzma_options;
    // Bytes of text have no alignment; the bits are better spent on the byte before.
    (lzma.lc, lzma.lp, lzma.pb) = (4, 0, 0);
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // No more than the stream has: the decoder makes room for it.
    lzma.dict_size = size.clamp(1 << 16, MAX_DICTIONARY).next_power_of_two();
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options)?;
    writer.write_all(bytes)?;
    writer.finish()
}
