//! The fonts of tickets: those in the binary, and those that the operator adds. `fonts/README.md` lists the scripts.
//!
//! The fonts in the binary are not compressed: the operating system reads only the pages of the file that a ticket needs,
//! and can drop them again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use krilla::text::Font;
use parley::FontContext;
use parley::fontique::{Blob, Collection, CollectionOptions, FontInfoOverride, SourceCache};

/// Noto Sans: Latin, Greek and Cyrillic.
pub const NOTO_SANS: &[u8] = include_bytes!("../../../../fonts/NotoSans_400Regular.ttf");

/// Family and file, in the order in which they are asked for a glyph. Latin scripts have two weights, the others one.
const FONTS: [(&str, &[u8]); 58] = [
    ("Noto Sans", NOTO_SANS),
    ("Noto Sans", include_bytes!("../../../../fonts/NotoSans_700Bold.ttf")),
    ("Noto Sans Arabic", include_bytes!("../../../../fonts/NotoSansArabic_400Regular.ttf")),
    ("Noto Sans Thai", include_bytes!("../../../../fonts/NotoSansThai_400Regular.ttf")),
    ("Noto Sans SC", include_bytes!("../../../../fonts/NotoSansSC_subset.ttf")),
    ("Noto Sans KR", include_bytes!("../../../../fonts/NotoSansKR_subset.ttf")),
    ("Noto Sans CJK", include_bytes!("../../../../fonts/NotoSansCJK_rare.otf")),
    ("Noto Sans Adlam", include_bytes!("../../../../fonts/NotoSansAdlam_400Regular.ttf")),
    ("Noto Sans Armenian", include_bytes!("../../../../fonts/NotoSansArmenian_400Regular.ttf")),
    ("Noto Sans Balinese", include_bytes!("../../../../fonts/NotoSansBalinese_400Regular.ttf")),
    ("Noto Sans Bamum", include_bytes!("../../../../fonts/NotoSansBamum_400Regular.ttf")),
    ("Noto Sans Batak", include_bytes!("../../../../fonts/NotoSansBatak_400Regular.ttf")),
    ("Noto Sans Bengali", include_bytes!("../../../../fonts/NotoSansBengali_400Regular.ttf")),
    (
        "Noto Sans Canadian Aboriginal",
        include_bytes!("../../../../fonts/NotoSansCanadianAboriginal_400Regular.ttf"),
    ),
    ("Noto Sans Chakma", include_bytes!("../../../../fonts/NotoSansChakma_400Regular.ttf")),
    ("Noto Sans Cham", include_bytes!("../../../../fonts/NotoSansCham_400Regular.ttf")),
    ("Noto Sans Cherokee", include_bytes!("../../../../fonts/NotoSansCherokee_400Regular.ttf")),
    ("Noto Sans Ethiopic", include_bytes!("../../../../fonts/NotoSansEthiopic_400Regular.ttf")),
    ("Noto Sans Georgian", include_bytes!("../../../../fonts/NotoSansGeorgian_400Regular.ttf")),
    ("Noto Sans Gujarati", include_bytes!("../../../../fonts/NotoSansGujarati_400Regular.ttf")),
    ("Noto Sans Gurmukhi", include_bytes!("../../../../fonts/NotoSansGurmukhi_400Regular.ttf")),
    ("Noto Sans Hanifi Rohingya", include_bytes!("../../../../fonts/NotoSansHanifiRohingya_400Regular.ttf")),
    ("Noto Sans Hebrew", include_bytes!("../../../../fonts/NotoSansHebrew_400Regular.ttf")),
    ("Noto Sans Javanese", include_bytes!("../../../../fonts/NotoSansJavanese_400Regular.ttf")),
    ("Noto Sans Kannada", include_bytes!("../../../../fonts/NotoSansKannada_400Regular.ttf")),
    ("Noto Sans Kayah Li", include_bytes!("../../../../fonts/NotoSansKayahLi_400Regular.ttf")),
    ("Noto Sans Khmer", include_bytes!("../../../../fonts/NotoSansKhmer_400Regular.ttf")),
    ("Noto Sans Lao", include_bytes!("../../../../fonts/NotoSansLao_400Regular.ttf")),
    ("Noto Sans Lepcha", include_bytes!("../../../../fonts/NotoSansLepcha_400Regular.ttf")),
    ("Noto Sans Limbu", include_bytes!("../../../../fonts/NotoSansLimbu_400Regular.ttf")),
    ("Noto Sans Lisu", include_bytes!("../../../../fonts/NotoSansLisu_400Regular.ttf")),
    ("Noto Sans Malayalam", include_bytes!("../../../../fonts/NotoSansMalayalam_400Regular.ttf")),
    ("Noto Sans Mandaic", include_bytes!("../../../../fonts/NotoSansMandaic_400Regular.ttf")),
    ("Noto Sans Meetei Mayek", include_bytes!("../../../../fonts/NotoSansMeeteiMayek_400Regular.ttf")),
    ("Noto Sans Miao", include_bytes!("../../../../fonts/NotoSansMiao_400Regular.ttf")),
    ("Noto Sans Mongolian", include_bytes!("../../../../fonts/NotoSansMongolian_400Regular.ttf")),
    ("Noto Sans Myanmar", include_bytes!("../../../../fonts/NotoSansMyanmar_400Regular.ttf")),
    ("Noto Sans NKo", include_bytes!("../../../../fonts/NotoSansNKo_400Regular.ttf")),
    ("Noto Sans New Tai Lue", include_bytes!("../../../../fonts/NotoSansNewTaiLue_400Regular.ttf")),
    ("Noto Sans Newa", include_bytes!("../../../../fonts/NotoSansNewa_400Regular.ttf")),
    ("Noto Sans Ol Chiki", include_bytes!("../../../../fonts/NotoSansOlChiki_400Regular.ttf")),
    ("Noto Sans Oriya", include_bytes!("../../../../fonts/NotoSansOriya_400Regular.ttf")),
    ("Noto Sans Osage", include_bytes!("../../../../fonts/NotoSansOsage_400Regular.ttf")),
    ("Noto Sans Sinhala", include_bytes!("../../../../fonts/NotoSansSinhala_400Regular.ttf")),
    ("Noto Sans Sundanese", include_bytes!("../../../../fonts/NotoSansSundanese_400Regular.ttf")),
    ("Noto Sans Syloti Nagri", include_bytes!("../../../../fonts/NotoSansSylotiNagri_400Regular.ttf")),
    ("Noto Sans Syriac", include_bytes!("../../../../fonts/NotoSansSyriac_400Regular.ttf")),
    ("Noto Sans Tai Le", include_bytes!("../../../../fonts/NotoSansTaiLe_400Regular.ttf")),
    ("Noto Sans Tai Tham", include_bytes!("../../../../fonts/NotoSansTaiTham_400Regular.ttf")),
    ("Noto Sans Tai Viet", include_bytes!("../../../../fonts/NotoSansTaiViet_400Regular.ttf")),
    ("Noto Sans Tamil", include_bytes!("../../../../fonts/NotoSansTamil_400Regular.ttf")),
    ("Noto Sans Telugu", include_bytes!("../../../../fonts/NotoSansTelugu_400Regular.ttf")),
    ("Noto Sans Thaana", include_bytes!("../../../../fonts/NotoSansThaana_400Regular.ttf")),
    ("Noto Sans Tifinagh", include_bytes!("../../../../fonts/NotoSansTifinagh_400Regular.ttf")),
    ("Noto Sans Vai", include_bytes!("../../../../fonts/NotoSansVai_400Regular.ttf")),
    ("Noto Sans Wancho", include_bytes!("../../../../fonts/NotoSansWancho_400Regular.ttf")),
    ("Noto Sans Yi", include_bytes!("../../../../fonts/NotoSansYi_400Regular.ttf")),
    ("Noto Serif Tibetan", include_bytes!("../../../../fonts/NotoSerifTibetan_400Regular.ttf")),
];

/// Endings of the files that are read from a folder.
const EXTENSIONS: [&str; 4] = ["ttf", "otf", "ttc", "otc"];

/// Size of all added files together, in bytes: they stay in memory.
const ADDED_MAX: u64 = 256 << 20;

/// Why the fonts of `ORIENTATION_FONTS` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFonts {
    #[error("{path} can't be read: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("{0} contains no font file (.ttf, .otf, .ttc or .otc)")]
    NoFont(String),
    #[error("{0} is not a TrueType or OpenType font")]
    NotAFont(String),
    #[error("the font files are larger than 256 MiB together")]
    TooLarge,
}

/// The fonts that tickets are set in.
#[derive(Clone, Default)]
pub struct Fonts {
    /// The operator's fonts: asked for what those in the binary lack.
    added: Vec<Blob<u8>>,
}

impl Fonts {
    /// The fonts in the binary, and those in `paths`: files, or folders with font files.
    ///
    /// # Errors
    /// [`BadFonts`] with the first path that can't be used.
    pub fn with(paths: &[PathBuf]) -> Result<Self, BadFonts> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(font_files(path)?);
        }
        let mut total = 0;
        for file in &files {
            total += fs::metadata(file).map_err(unreadable(file))?.len();
        }
        if total > ADDED_MAX {
            return Err(BadFonts::TooLarge);
        }
        let added = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
        Ok(Self { added })
    }

    /// Number of font files that the operator added.
    pub fn added(&self) -> usize {
        self.added.len()
    }

    /// These fonts and no others, so that a ticket looks the same on every machine.
    pub fn context(&self) -> FontContext {
        let mut collection = Collection::new(CollectionOptions { shared: false, system_fonts: false });
        let named =
            |family| Some(FontInfoOverride { family_name: Some(family), ..FontInfoOverride::default() });
        for (family, file) in FONTS {
            collection.register_fonts(Blob::new(Arc::new(file)), named(family));
        }
        for (family, file) in self.added_families().iter().zip(&self.added) {
            collection.register_fonts(file.clone(), named(family));
        }
        FontContext { collection, source_cache: SourceCache::default() }
    }

    /// Names of the families, in the order in which they are asked for a glyph.
    pub fn families(&self) -> Vec<String> {
        let mut families: Vec<_> = FONTS.iter().map(|(family, _)| (*family).to_owned()).collect();
        families.dedup();
        families.extend(self.added_families());
        families
    }

    /// One family per added file, so that no file replaces one of ours.
    fn added_families(&self) -> Vec<String> {
        (1..=self.added.len()).map(|n| format!("added {n}")).collect()
    }
}

/// The font files at `path`, in the order of their names.
fn font_files(path: &Path) -> Result<Vec<PathBuf>, BadFonts> {
    if !fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(unreadable(path))?;
    let entries = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut files = entries.map_err(unreadable(path))?;
    files.retain(|file| {
        file.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end.eq_ignore_ascii_case(known)))
    });
    if files.is_empty() {
        return Err(BadFonts::NoFont(path.display().to_string()));
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Blob<u8>, BadFonts> {
    let bytes = fs::read(file).map_err(unreadable(file))?;
    if Font::new(bytes.clone().into(), 0).is_none() {
        return Err(BadFonts::NotAFont(file.display().to_string()));
    }
    Ok(Blob::new(Arc::new(bytes)))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> BadFonts {
    let path = path.display().to_string();
    move |error| BadFonts::Unreadable { path: path.clone(), error }
}
