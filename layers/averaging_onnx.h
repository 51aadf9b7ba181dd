// What [avgpool] with a window and [local_avgpool] become in ONNX; in layers/avgpool.cpp.
#pragma once

#include "cuda/avgpool.h"
#include "layers/onnx_graph.h"

namespace osprey {

std::string averaging_to_onnx(OnnxGraph&, const Averaging&, Shape in, Shape out);

}  // namespace osprey
