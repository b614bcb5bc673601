//! Decompresses message bodies: kombu, with which `OpenStack` services speak AMQP, names the method in a header.
//! Its "gzip" is a zlib stream (RFC 1950).

use std::borrow::Cow;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

use super::super::content::{LARGEST_BODY, Unfit};

/// Decompresses the body if a method is given, up to the size limit of a body.
pub(super) fn inflate<'a>(method: Option<&str>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Unfit> {
    match method {
        None | Some("") => Ok(Cow::Borrowed(body)),
        Some("application/x-gzip" | "gzip" | "zlib") => {
            decompress_to_vec_zlib_with_limit(body, LARGEST_BODY)
                .map(Cow::Owned)
                .map_err(|error| match error.status {
                    TINFLStatus::HasMoreOutput => Unfit::TooLarge,
                    _ => Unfit::Compressed("its zlib stream is broken"),
                })
        }
        Some("application/x-bz2" | "bzip2" | "bz2") => Err(Unfit::Compressed(
            "bzip2 is not read here; set kombu_compression = gzip, or none, in the service",
        )),
        Some(_) => Err(Unfit::Compressed("by a method that is not known here")),
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use super::*;

    #[test]
    fn what_kombu_calls_gzip_is_inflated() {
        let packed = compress_to_vec_zlib(b"{\"a\": 1}", 6);
        let body = inflate(Some("application/x-gzip"), &packed).expect("a body");
        assert_eq!(&*body, b"{\"a\": 1}");
        assert_eq!(&*inflate(None, b"x").expect("a body"), b"x");
    }

    #[test]
    fn a_small_body_that_would_become_a_huge_one_is_refused() {
        let packed = compress_to_vec_zlib(&vec![0; LARGEST_BODY + 1], 9);
        assert!(packed.len() < 100_000);
        let refused = inflate(Some("application/x-gzip"), &packed);
        assert!(matches!(refused, Err(Unfit::TooLarge)));
    }

    #[test]
    fn what_is_not_read_is_refused_with_the_remedy() {
        for (method, reason) in [
            ("application/x-bz2", "kombu_compression"),
            ("application/x-gzip", "broken"),
            ("application/zstd", "not known"),
        ] {
            let said = inflate(Some(method), b"BZh9")
                .expect_err(method)
                .to_string();
            assert!(said.contains(reason), "{said}");
        }
    }
}
