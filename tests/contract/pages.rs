//! Owns the tests of the pages as a browser asks for them (section 1): with built pages and
//! without, whichever this build has.

use crate::support::Server;

#[test]
fn the_first_page_and_the_dashboard_are_there_or_say_how_to_build_them() {
    let server = Server::start(&[]);
    for path in ["/", "/dashboard", "/dashboard/"] {
        let page = server.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8", "{path}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff", "{path}");
        let policy = &page.headers["content-security-policy"];
        assert!(policy.contains("frame-ancestors 'self'") && policy.starts_with("default-src '"), "{policy}");
        assert!(page.body.contains("Innkeeper"), "{}", page.body);
        let is_built = page.headers.contains_key("etag");
        if is_built {
            assert_eq!(page.headers["cache-control"], "no-cache", "{path}");
            let again = server.get_with(path, &[("If-None-Match", &page.headers["etag"])]);
            assert_eq!((again.status, &*again.body), (304, ""), "{path}");
            for asset in assets(&page.body) {
                let asset = server.get(&asset);
                assert_eq!(asset.status, 200, "{asset:?}");
                assert!(asset.headers["cache-control"].contains("immutable"), "{asset:?}");
            }
        } else {
            assert!(page.body.contains("npm ci &amp;&amp; npm run build"), "{}", page.body);
            let room = format!("websocat ws://127.0.0.1:{}/ws/test-game/test-player", server.port);
            assert!(page.body.contains(&room), "{}", page.body);
        }
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let head = server.answer_to(&head);
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
        assert_eq!(head.headers["content-type"], page.headers["content-type"], "{path}");
    }
    assert_eq!(server.get("/assets/none.js").status, 404);
}

#[test]
fn the_client_library_is_served_with_its_types_and_its_source_map_where_the_pages_are() {
    let server = Server::start(&[]);
    let is_built = server.get("/").headers.contains_key("etag");
    for (path, content_type, text) in [
        ("/client.js", "text/javascript; charset=utf-8", "//# sourceMappingURL=client.js.map"),
        ("/client.js.map", "application/json", "\"file\":\"client.js\""),
        ("/client.d.ts", "application/typescript; charset=utf-8", "export declare function connect"),
    ] {
        let file = server.get_with(path, &[("Origin", "https://elsewhere.example")]);
        if !is_built {
            assert_eq!(file.status, 404, "{path}");
            continue;
        }
        assert_eq!((file.status, &*file.headers["content-type"]), (200, content_type), "{path}");
        assert_eq!(file.headers["access-control-allow-origin"], "*", "{path}");
        assert!(file.body.contains(text), "{path}");
        let again = server.get_with(path, &[("If-None-Match", &file.headers["etag"])]);
        assert_eq!((again.status, &*again.body), (304, ""), "{path}");
    }
}

/// What a page loads from `/assets/`.
fn assets(page: &str) -> Vec<String> {
    page.split('"').filter(|text| text.starts_with("/assets/")).map(str::to_owned).collect()
}
