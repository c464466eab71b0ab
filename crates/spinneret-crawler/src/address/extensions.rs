//! What a file's extension says about it.

/// What is in a file, going by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// An image that browsers show, or one that is common on the web.
    Image,
    /// Something that is neither a page nor such an image.
    Other,
    /// There is no telling: most likely a page.
    Unknown,
}

impl FileKind {
    /// The kind of file that has a name with this extension (without its dot), in whatever case.
    pub(crate) fn of(extension: &str) -> Self {
        // The longest known one has eleven letters.
        let mut lower = [0; 11];
        let Some(lower) = lower.get_mut(..extension.len()) else {
            return Self::Unknown;
        };
        lower.copy_from_slice(extension.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"jpg" | b"jpeg" | b"png" | b"gif" | b"webp" | b"avif" | b"svg" | b"svgz" | b"bmp"
            | b"ico" | b"cur" | b"tif" | b"tiff" | b"jxl" | b"heic" | b"heif" | b"apng"
            | b"jfif" | b"pjpeg" | b"pjp" | b"jpe" => Self::Image,
            // Parts of pages, archives, packages, documents, sound, film, images for programs.
            b"js" | b"mjs" | b"css" | b"map" | b"json" | b"jsonld" | b"wasm" | b"webmanifest"
            | b"rss" | b"atom" | b"woff" | b"woff2" | b"ttf" | b"otf" | b"eot" | b"zip" | b"gz"
            | b"tgz" | b"bz2" | b"tbz2" | b"xz" | b"txz" | b"zst" | b"7z" | b"rar" | b"tar"
            | b"lz" | b"lzma" | b"jar" | b"war" | b"apk" | b"aab" | b"ipa" | b"deb" | b"rpm"
            | b"msi" | b"exe" | b"dmg" | b"pkg" | b"iso" | b"img" | b"bin" | b"crx" | b"xpi"
            | b"whl" | b"crate" | b"gem" | b"nupkg" | b"pdf" | b"ps" | b"eps" | b"djvu"
            | b"doc" | b"docx" | b"xls" | b"xlsx" | b"ppt" | b"pptx" | b"odt" | b"ods" | b"odp"
            | b"rtf" | b"epub" | b"mobi" | b"azw3" | b"csv" | b"tsv" | b"parquet" | b"sqlite"
            | b"bib" | b"tex" | b"ics" | b"vcf" | b"torrent" | b"mp3" | b"m4a" | b"aac"
            | b"ogg" | b"oga" | b"opus" | b"flac" | b"wav" | b"mid" | b"midi" | b"wma" | b"mp4"
            | b"m4v" | b"webm" | b"ogv" | b"mov" | b"avi" | b"mkv" | b"wmv" | b"flv" | b"mpg"
            | b"mpeg" | b"3gp" | b"m3u8" | b"mpd" | b"vtt" | b"srt" | b"swf" | b"psd" | b"cr2"
            | b"nef" | b"dng" | b"exr" | b"hdr" | b"xcf" | b"sketch" | b"blend" | b"stl"
            | b"obj" | b"glb" | b"gltf" => Self::Other,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileKind;

    #[test]
    fn extensions_have_their_kind_in_any_case() {
        for image in ["jpg", "PNG", "WebP", "svgz", "jfif"] {
            assert_eq!(FileKind::of(image), FileKind::Image, "{image}");
        }
        for other in ["css", "ZIP", "webmanifest", "woff2", "Mp4", "pdf"] {
            assert_eq!(FileKind::of(other), FileKind::Other, "{other}");
        }
        for unknown in ["", "html", "PHP", "webmanifests", "ü", "a very long one", "0"] {
            assert_eq!(FileKind::of(unknown), FileKind::Unknown, "{unknown}");
        }
    }
}
