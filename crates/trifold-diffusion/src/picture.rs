use std::{
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
};

use crate::{DiffusionError, Parameters};

/// The name under which other tools, too, look for the parameters of a picture.
const PARAMETERS_KEY: &str = "parameters";

/// A picture, with what it was made with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rows from the top, three bytes (red, green, blue) a pixel.
    pub rgb8: Vec<u8>,
    /// The seed that gives this picture again.
    pub seed: u64,
    /// What it was made with.
    pub parameters: Parameters,
}

impl Picture {
    /// A picture of `rgb8`, rows from the top, three bytes a pixel.
    pub fn new(width: u32, height: u32, rgb8: Vec<u8>, seed: u64, parameters: Parameters) -> Self {
        Self {
            width,
            height,
            rgb8,
            seed,
            parameters,
        }
    }

    /// The red, green and blue of a pixel, counted from the top left; `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width {
            return None;
        }
        let index = u64::from(y) * u64::from(self.width) + u64::from(x);
        self.rgb8
            .as_chunks()
            .0
            .get(usize::try_from(index).ok()?)
            .copied()
    }

    /// The picture as a PNG file, with its parameters as text ([`read_png`] reads them back).
    ///
    /// It fails only for a picture whose fields were changed so that they do not fit together.
    pub fn png(&self) -> Result<Vec<u8>, DiffusionError> {
        let mut file = Vec::new();
        self.write_png(&mut file).map_err(DiffusionError::Encode)?;
        Ok(file)
    }

    /// Writes the [`png`](Self::png) to a file.
    ///
    /// The file appears whole or not at all: it is written under another name in the same folder, and
    /// then renamed. A file of that name is replaced.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), DiffusionError> {
        let path = path.as_ref();
        write_atomically(path, &self.png()?).map_err(|source| DiffusionError::Save {
            path: path.to_owned(),
            source,
        })
    }

    fn write_png(&self, file: &mut Vec<u8>) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let text = self.parameters.to_string();
        if text.is_empty() {
            // Of a picture that something else has made.
            return encoder.write_header()?.write_image_data(&self.rgb8);
        }
        let is_latin_1 = text.chars().all(|character| u32::from(character) < 256);
        if is_latin_1 {
            encoder.add_text_chunk(PARAMETERS_KEY.into(), text)?;
        } else {
            encoder.add_itxt_chunk(PARAMETERS_KEY.into(), text)?;
        }
        encoder.write_header()?.write_image_data(&self.rgb8)
    }
}

fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".trifold-").suffix(".part");
    // As any new file; temporary ones are for their owner only.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(contents)?;
    // A full disk shows here at the latest.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A picture from a PNG file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredPicture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rows from the top, three bytes (red, green, blue) a pixel. Transparency is left out.
    pub rgb8: Vec<u8>,
    /// What it was made with, if it says so.
    pub parameters: Option<Parameters>,
}

/// Reads a PNG file of any colour type, of up to 64 MB unpacked, and the parameters that
/// [`Picture::save_png`] and other tools store in one.
///
/// ```no_run
/// let picture = trifold_diffusion::read_png("circle.png")?;
/// if let Some(parameters) = picture.parameters {
///     println!("{} with seed {:?}", parameters.prompt, parameters.seed());
/// }
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
pub fn read_png(path: impl AsRef<Path>) -> Result<StoredPicture, DiffusionError> {
    let path = path.as_ref();
    read(path).map_err(|source| DiffusionError::Read {
        path: PathBuf::from(path),
        source,
    })
}

fn read(path: &Path) -> Result<StoredPicture, png::DecodingError> {
    let mut decoder = png::Decoder::new(BufReader::new(fs_err::File::open(path)?));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let too_large = || png::DecodingError::LimitsExceeded;
    let size = reader
        .output_buffer_size()
        .filter(|size| *size <= MAX_BYTES)
        .ok_or_else(too_large)?;
    let mut data = vec![0; size];
    let frame = reader.next_frame(&mut data)?;
    data.truncate(frame.buffer_size());
    // Text may also come after the picture.
    reader.finish()?;
    let info = reader.info();
    let latin_1 = info
        .uncompressed_latin1_text
        .iter()
        .map(|chunk| (&chunk.keyword, Ok(chunk.text.clone())));
    let packed = info
        .compressed_latin1_text
        .iter()
        .map(|chunk| (&chunk.keyword, chunk.get_text()));
    let utf_8 = info
        .utf8_text
        .iter()
        .map(|chunk| (&chunk.keyword, chunk.get_text()));
    let text = latin_1
        .chain(packed)
        .chain(utf_8)
        .find(|(keyword, _)| *keyword == PARAMETERS_KEY);
    Ok(StoredPicture {
        width: frame.width,
        height: frame.height,
        rgb8: to_rgb(data, frame.color_type),
        parameters: text
            .map(|(_, text)| text)
            .transpose()?
            .as_deref()
            .map(Parameters::parse),
    })
}

const MAX_BYTES: usize = 64 << 20;

fn to_rgb(data: Vec<u8>, color: png::ColorType) -> Vec<u8> {
    match color {
        png::ColorType::Rgb | png::ColorType::Indexed => data,
        png::ColorType::Rgba => data
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|[r, g, b, _]| [*r, *g, *b])
            .collect(),
        png::ColorType::Grayscale => data.into_iter().flat_map(|grey| [grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => data
            .as_chunks::<2>()
            .0
            .iter()
            .flat_map(|[grey, _]| [*grey; 3])
            .collect(),
    }
}
