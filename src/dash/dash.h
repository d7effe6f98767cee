/* dash: the web pages, and the dashboards they show.
 *
 * Pages. Their assets are built from ui/, compressed once, and live in the binary; nothing is fetched from another host and the content
 * security policy forbids it. Hashed assets are immutable for a year; an HTML is revalidated by its tag. Each page's address gives an HTML
 * that differs only in the chunks it names, and the page's own router does the rest.
 *
 * Dashboards. A dashboard is the text somebody gave us: it is kept byte by byte, exported unchanged, and read into today's shape by the
 * browser (ui/src/dash). The server knows its title, uid and tags only. Where they come from: people (imported, with the last 50
 * versions), files of a provisioning folder (by Grafana's provisioning files in it, where there are any; read at start and at each
 * reload; read-only here), and the binary itself.
 *
 * Routes follow Grafana's shapes: GET /api/search, /api/dashboards/uid/{uid}, /api/datasources, /api/health; POST /api/dashboards/db;
 * DELETE /api/dashboards/uid/{uid}; GET /api/dashboards/uid/{uid}/versions[/{n}], POST .../restore {"version": n}; GET and POST
 * /api/folders, GET and DELETE /api/folders/{uid}. Two are ours, because they carry the text itself:
 * GET /api/dashboards/uid/{uid}/json (X-Pharos-Version, -Folder and -Source beside it) and
 * POST /api/dashboards/import?overwrite=&folder=&message=&uid=&version=. `version` is the one that was edited: when another is the
 * newest by now, the answer is 412 with "status":"version-mismatch". Errors are {"message": "..."}.
 */
#pragma once
#include "net/net.h"

typedef struct DashStore DashStore;
typedef struct DashConfig {
    Vfs *vfs;
    Clock *clock;
    Str db_path;      /* <data>/pharos.db */
    Str provisioning; /* folder of *.json files; empty = none */
} DashConfig;

Err dash_store_open(const DashConfig *c, DashStore **ret, Why *why);
void dash_store_close(DashStore *s); /* NULL is fine; after the servers are gone */
Err dash_reload(DashStore *s, Why *why);

/* Pages, assets and the routes of dashboards. Also answers the server's fallback: an unknown path that a browser asks for (Accept:
 * text/html) gives the application, anything else 404. store NULL: pages only. */
void dash_routes(HttpServer *s, DashStore *store);
