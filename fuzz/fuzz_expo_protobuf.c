#include "expo_fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    return fuzz_expo(data, len, EXPO_PROTOBUF);
}
