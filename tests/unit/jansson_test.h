/* jansson beside text.h: three of its names are ours too. Tests read with jansson only, so its makers are hidden. */
#pragma once
#define json_object jansson_object
#define json_array  jansson_array
#define json_null   jansson_null
#include <jansson.h>
#undef json_object
#undef json_array
#undef json_null
