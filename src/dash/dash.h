/* dash: the web pages. Their assets are built from ui/, compressed once, and live in the binary; nothing is fetched from another
 * host and the content security policy forbids it.
 *
 * Hashed assets are immutable for a year; index.html is revalidated by its tag. Every page path gives index.html, and the
 * page's own router does the rest.
 */
#pragma once
#include "net/net.h"

/* Pages and assets. Also answers the server's fallback: an unknown path that a browser asks for (Accept: text/html) gives the
 * application, anything else 404. */
void dash_routes(HttpServer *s);
