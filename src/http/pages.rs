//! Owns the pages in the browser: the demo at /, the dashboard at /dashboard, and their assets, as
//! the build embedded them, and the client library at /client.js. Without embedded pages, both say
//! how to build them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
};

use super::{
    answer::{error_body, wrong_method},
    headers,
};

/// A file of frontend-client/dist.
#[derive(Debug, Clone, Copy)]
pub struct PageFile {
    /// With a leading slash, e.g. `/assets/demo-B3xY.js`.
    path: &'static str,
    content_type: &'static str,
    /// Quoted, as the header has it.
    etag: &'static str,
    bytes: &'static [u8],
}

/// Written by build.rs, in the order of the paths.
const PAGES: &[PageFile] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Nothing from elsewhere, no script or style but in files of our own; only our own pages may frame them.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; \
                      script-src 'self'; frame-ancestors 'self'";
/// For the page that is not built: it loads nothing at all.
const HINT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// The client library with its source map and its types. Pages of other origins import it; it is nobody's secret.
const LIBRARY: [&str; 3] = ["/client.js", "/client.js.map", "/client.d.ts"];

/// Vite puts a hash of the content into the names of assets.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Answers whatever no route has taken: a page, an asset, or 404. `websocket_url` is where clients connect.
pub fn answer(request: &HttpRequest, websocket_url: Option<&str>) -> HttpResponse {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = headers::last(request.headers(), header::IF_NONE_MATCH.as_str());
    let known = known.as_deref();
    match find(PAGES, request.path()) {
        Some(page) if is_read => serve(page, known),
        page if !is_read && (page.is_some() || is_entrance(request.path())) => wrong_method("GET, HEAD"),
        None if is_read && is_entrance(request.path()) => hint(websocket_url),
        _ => nothing_here(),
    }
}

pub fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound().json(error_body("not_found", "there is nothing here; see /, /health, /ws/{game}/{player}"))
}

fn is_entrance(path: &str) -> bool {
    matches!(path, "/" | "/dashboard" | "/dashboard/")
}

fn find<'a>(pages: &'a [PageFile], path: &str) -> Option<&'a PageFile> {
    let path = match path {
        "/" => "/index.html",
        "/dashboard" | "/dashboard/" => "/dashboard/index.html",
        path => path,
    };
    pages.binary_search_by(|page| page.path.cmp(path)).ok().map(|place| &pages[place])
}

fn serve(page: &PageFile, known: Option<&str>) -> HttpResponse {
    let is_hashed = page.path.contains("/assets/");
    let is_known = known.is_some_and(|known| {
        known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == page.etag)
    });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CACHE_CONTROL, if is_hashed { FOR_EVER } else { "no-cache" }))
        .insert_header((header::ETAG, page.etag))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    if LIBRARY.contains(&page.path) {
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"))
            .insert_header(("X-TypeScript-Types", "./client.d.ts"));
    }
    if is_known {
        return response.finish();
    }
    response.content_type(page.content_type).body(page.bytes)
}

/// The server works; only its pages were not there when it was built.
fn hint(websocket_url: Option<&str>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, HINT_POLICY))
        .body(hint_text(websocket_url))
}

fn hint_text(websocket_url: Option<&str>) -> String {
    // What may stand in an authority cannot end an element, but may begin a character reference.
    let url = websocket_url.unwrap_or("ws://localhost:8080").replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Innkeeper</title>\n\
         <style>body {{ max-width: 40rem; margin: 4rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; \
         color-scheme: light dark }} pre {{ padding: .8rem 1rem; border: 1px solid #8886; border-radius: .4rem; \
         overflow-x: auto }}</style>\n\
         <h1>Innkeeper is running</h1>\n\
         <p>The server works; the demo and the dashboard were not built when it was. With Node 20.19, or 22.12 or newer, \
         build the pages, then the server again:</p>\n\
         <pre>(cd frontend-client &amp;&amp; npm ci &amp;&amp; npm run build)\ncargo build --release</pre>\n\
         <p><code>scripts/start</code> does both. Without any page, this is a room:</p>\n\
         <pre>websocat {url}/ws/test-game/test-player</pre>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use actix_web::{http::StatusCode, test::TestRequest};

    use super::*;

    const BUILT: &[PageFile] = &[
        PageFile { path: "/assets/a-1f.js", content_type: "text/javascript", etag: "\"1\"", bytes: b"a" },
        PageFile { path: "/dashboard/index.html", content_type: "text/html", etag: "\"2\"", bytes: b"b" },
        PageFile { path: "/index.html", content_type: "text/html", etag: "\"3\"", bytes: b"c" },
    ];

    fn header(response: &HttpResponse, name: header::HeaderName) -> &str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[test]
    fn the_embedded_table_is_in_the_order_that_the_search_needs() {
        assert!(PAGES.is_sorted_by(|a, b| a.path < b.path));
        assert_eq!(PAGES.is_empty(), find(PAGES, "/").is_none(), "a build without a first page");
        assert!(PAGES.iter().all(|page| find(PAGES, page.path).is_some_and(|found| found.bytes == page.bytes)));
    }

    #[test]
    fn both_entrances_and_every_file_are_found_and_nothing_else() {
        let found = |path| find(BUILT, path).map(|page| page.bytes);
        assert_eq!(found("/"), Some(&b"c"[..]));
        assert_eq!((found("/dashboard"), found("/dashboard/")), (Some(&b"b"[..]), Some(&b"b"[..])));
        assert_eq!(found("/assets/a-1f.js"), Some(&b"a"[..]));
        for path in ["", "/assets", "/assets/", "/assets/../index.html", "/dashboard//", "//", "/INDEX.html"] {
            assert_eq!(found(path), None, "{path}");
        }
        assert!(["/", "/dashboard", "/assets/a-1f.js"].iter().all(|path| find(&[], path).is_none()));
    }

    #[test]
    fn hashed_assets_are_kept_for_ever_and_pages_are_asked_for_again() {
        let asset = serve(&BUILT[0], None);
        assert_eq!(header(&asset, header::CACHE_CONTROL), FOR_EVER);
        let page = serve(&BUILT[2], Some("\"2\""));
        assert_eq!((page.status(), header(&page, header::CACHE_CONTROL)), (StatusCode::OK, "no-cache"));
        assert_eq!((header(&page, header::ETAG), header(&page, header::CONTENT_TYPE)), ("\"3\"", "text/html"));
        assert_eq!(header(&page, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(header(&page, header::CONTENT_SECURITY_POLICY).contains("script-src 'self'; frame-ancestors 'self'"));
        for known in ["\"3\"", "W/\"3\"", "\"9\", \"3\"", "*"] {
            assert_eq!(serve(&BUILT[2], Some(known)).status(), StatusCode::NOT_MODIFIED, "{known}");
        }
    }

    #[test]
    fn the_client_library_may_be_imported_by_pages_of_other_origins_and_pages_may_not() {
        let library =
            PageFile { path: "/client.js", content_type: "text/javascript; charset=utf-8", etag: "\"4\"", bytes: b"d" };
        for known in [None, Some("\"4\"")] {
            let response = serve(&library, known);
            assert_eq!(header(&response, header::ACCESS_CONTROL_ALLOW_ORIGIN), "*", "{known:?}");
            assert_eq!(header(&response, header::CACHE_CONTROL), "no-cache", "{known:?}");
            assert_eq!(
                response.headers().get("x-typescript-types").map(|types| types.as_bytes()),
                Some(&b"./client.d.ts"[..])
            );
        }
        assert!(!serve(&BUILT[2], None).headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn what_is_no_page_is_a_404_and_a_write_to_a_page_is_405() {
        let request = TestRequest::get().uri("/assets/none.js").to_http_request();
        assert_eq!(answer(&request, None).status(), StatusCode::NOT_FOUND);
        let refused = answer(&TestRequest::post().uri("/").to_http_request(), None);
        assert_eq!((refused.status(), header(&refused, header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
        let request = TestRequest::post().uri("/none").to_http_request();
        assert_eq!(answer(&request, None).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn without_pages_the_entrances_say_how_to_build_them_and_run_nothing() {
        assert_eq!(header(&hint(None), header::CONTENT_SECURITY_POLICY), HINT_POLICY);
        let body = hint_text(Some("ws://host:1&lt<"));
        assert!(body.contains("npm ci &amp;&amp; npm run build"), "{body}");
        assert!(body.contains("websocat ws://host:1&amp;lt&lt;/ws/test-game/test-player"), "{body}");
        assert!(!body.contains("<script") && !body.contains("src="), "{body}");
    }
}
