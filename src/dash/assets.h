/* The table that scripts/embed_ui.mjs generates. Private to dash/. */
#pragma once

typedef struct UiAsset {
    const char *name; /* "index.html", "assets/index-D6JdxLoJ.js" */
    const char *content_type;
    const char *etag; /* quoted */
    const unsigned char *gzip;
    unsigned gzip_bytes;
    const unsigned char *brotli;
    unsigned brotli_bytes;
    unsigned bytes; /* undone */
} UiAsset;
extern const UiAsset ui_assets[];
extern const unsigned ui_assets_len;

/* Built-in dashboards: ui/dashboards/<uid>.json. */
typedef struct UiDashboard {
    const char *uid;
    const unsigned char *text;
    unsigned bytes;
} UiDashboard;
extern const UiDashboard ui_dashboards[];
extern const unsigned ui_dashboards_len;
