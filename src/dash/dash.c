/* See dash.h. */
#include "dash/dash.h"

#include "dash/assets.h"
#include "dash/store.h"

static const HttpHeader page_headers[] = {
    {STR_INIT("Content-Security-Policy"),
     STR_INIT("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
              "font-src 'self'; "
              "base-uri 'none'; form-action 'self'; frame-ancestors 'none'")},
    {STR_INIT("X-Content-Type-Options"), STR_INIT("nosniff")},
    {STR_INIT("Referrer-Policy"), STR_INIT("same-origin")},
    {STR_INIT("Cross-Origin-Opener-Policy"), STR_INIT("same-origin")},
};

static const UiAsset *asset_find(Str name)
{
    for (unsigned i = 0; i < ui_assets_len; i++)
        if (str_eq(str_c(ui_assets[i].name), name))
            return &ui_assets[i];
    return NULL;
}

/* Does an Accept-Encoding header name the coding, and not with q=0? */
static bool accepts(Str header, Str coding)
{
    while (header.len) {
        Str item, name, q;
        str_cut(header, ',', &item, &header);
        str_cut(item, ';', &name, &q);
        if (str_eq_nocase(str_trim(name), coding)) {
            f64 weight = 1;
            q = str_trim(q);
            if (str_starts(q, S("q=")) && parse_f64(str_skip(q, 2), &weight) != OK)
                weight = 0;
            return weight > 0;
        }
    }
    return false;
}

/* The asset in the best coding the client takes. Clients that take none (curl without --compressed) get it undone. */
static void asset_reply(HttpReq *r, const UiAsset *a, bool is_immutable)
{
    for (size_t i = 0; i < COUNT_OF(page_headers); i++)
        http_add_header(r, page_headers[i].name, page_headers[i].value);
    http_add_header(r, S("Cache-Control"),
                    is_immutable ? S("public, max-age=31536000, immutable") : S("no-cache"));
    http_add_header(r, S("ETag"), str_c(a->etag));
    http_add_header(r, S("Vary"), S("Accept-Encoding"));
    if (str_find(http_header(r, S("If-None-Match")), str_c(a->etag)) != SIZE_MAX) {
        http_reply(r, 304, a->content_type, S(""));
        return;
    }
    Str coding = http_header(r, S("Accept-Encoding"));
    if (accepts(coding, S("br"))) {
        http_add_header(r, S("Content-Encoding"), S("br"));
        http_reply(r, 200, a->content_type, str_of((const char *)a->brotli, a->brotli_bytes));
    } else if (accepts(coding, S("gzip"))) {
        http_add_header(r, S("Content-Encoding"), S("gzip"));
        http_reply(r, 200, a->content_type, str_of((const char *)a->gzip, a->gzip_bytes));
    } else {
        Buf plain;
        buf_init(&plain, a->bytes);
        Why why;
        Err e = coding_decode(CODING_GZIP, str_of((const char *)a->gzip, a->gzip_bytes), &plain, &why);
        check(e == OK); /* our own bytes */
        http_reply(r, 200, a->content_type, buf_view(&plain));
        buf_done(&plain);
    }
}

static void page(HttpReq *r, void *arg)
{
    asset_reply(r, asset_find(str_c(arg)), false);
}

static void asset(HttpReq *r, void *arg)
{
    (void)arg;
    Str name = arena_printf(r->arena, "assets/%.*s", STR_FMT(r->path_args[0]));
    const UiAsset *a = asset_find(name);
    if (a)
        asset_reply(r, a, true);
    else
        http_reply_text(r, 404,
                        "no such asset; the page that asked for it is older than this server: reload it\n");
}

static void fallback(HttpReq *r, void *arg)
{
    /* The page finds its assets beside itself, so it can only stand in for a path of one segment. */
    bool wants_page = str_find(http_header(r, S("Accept")), S("text/html")) != SIZE_MAX &&
                      str_find_char(str_skip(r->path, 1), '/') == SIZE_MAX;
    if (wants_page && !str_starts(r->path, S("/api/")) && !str_starts(r->path, S("/-/")))
        page(r, "index.html");
    else
        http_reply_text(r, 404, "404 page not found\n");
}

/* Each page has an HTML of its own, that names the chunks it begins with; those of deeper addresses look for them further up. */
static const struct {
    const char *path, *file;
} pages[] = {
    {"/", "home.html"},
    {"/dashboards", "dashboards.html"},
    {"/d/{}", "dashboard-1.html"},
    {"/d/{}/{}", "dashboard-2.html"},
    {"/explore", "explore.html"},
    {"/query", "query.html"},
    {"/graph", "query.html"},
    {"/targets", "targets.html"},
    {"/service-discovery", "targets.html"},
    {"/alerts", "alerts.html"},
    {"/alert", "alert.html"},
    {"/silences", "silences.html"},
    {"/routing", "routing.html"},
    {"/deliveries", "deliveries.html"},
    {"/rules", "rules.html"},
    {"/rule", "rule.html"},
    {"/status", "status.html"},
    {"/config", "status.html"},
    {"/flags", "status.html"},
    {"/tsdb-status", "status.html"},
};

void dash_routes(HttpServer *s, DashStore *store)
{
    if (store)
        dash_api_routes(s, store);
    for (size_t i = 0; i < COUNT_OF(pages); i++)
        http_server_route(s,
                          &(HttpRoute){.methods = "GET",
                                       .path = pages[i].path,
                                       .handler = page,
                                       .arg = (void *)pages[i].file,
                                       .role = ROLE_READ,
                                       .run = RUN_ADMIN},
                          1);
    http_server_route(s,
                      &(HttpRoute){.methods = "GET",
                                   .path = "/assets/"
                                           "*",
                                   .handler = asset,
                                   .role = ROLE_READ,
                                   .run = RUN_ADMIN},
                      1);
    http_server_fallback(s, &(HttpRoute){.methods = "GET",
                                         .path = "/"
                                                 "*",
                                         .handler = fallback,
                                         .role = ROLE_READ,
                                         .run = RUN_ADMIN});
}
