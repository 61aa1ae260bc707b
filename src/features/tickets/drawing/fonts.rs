//! The fonts in the binary; `fonts/README.md` says which scripts they cover.

use std::sync::Arc;

use parley::FontContext;
use parley::fontique::{Blob, Collection, CollectionOptions, SourceCache};

/// In the order in which they are asked for a glyph. The weights of Latin scripts are two, of the others one.
pub const FAMILIES: [&str; 5] =
    ["Noto Sans", "Noto Sans Arabic", "Noto Sans Thai", "Noto Sans SC", "Noto Sans KR"];

const FILES: [&[u8]; 6] = [
    include_bytes!("../../../../fonts/NotoSans_400Regular.ttf"),
    include_bytes!("../../../../fonts/NotoSans_700Bold.ttf"),
    include_bytes!("../../../../fonts/NotoSansArabic_400Regular.ttf"),
    include_bytes!("../../../../fonts/NotoSansThai_400Regular.ttf"),
    include_bytes!("../../../../fonts/NotoSansSC_subset.ttf"),
    include_bytes!("../../../../fonts/NotoSansKR_subset.ttf"),
];

/// Our fonts and no others, so that a ticket looks the same wherever it is drawn.
pub fn context() -> FontContext {
    let mut collection = Collection::new(CollectionOptions { shared: false, system_fonts: false });
    for file in FILES {
        collection.register_fonts(Blob::new(Arc::new(file)), None);
    }
    FontContext { collection, source_cache: SourceCache::default() }
}
