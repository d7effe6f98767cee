/* Versions, in one place. */
#pragma once
#define PHAROS_VERSION        "0.1.0"
#define PROMETHEUS_COMPATIBLE "3.5.3"
