// Only for the build: Horovod 0.28.1 includes this path and calls AsGpuStreamValue, which TensorFlow's libraries
// had until 2.17.
#pragma once
#include "xla/stream_executor/stream.h"

namespace stream_executor {
namespace gpu {
inline GpuStreamHandle AsGpuStreamValue(Stream* stream) {
  return static_cast<GpuStreamHandle>(stream->platform_specific_handle().stream);
}
}  // namespace gpu
}  // namespace stream_executor
