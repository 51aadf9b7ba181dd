// What the packed forms of weights depend on: the processor that the program finds itself on.
#pragma once

namespace osprey::simd {

int panel_width();         // filters whose weights lie side by side: they are summed together
int vector_width();        // floats in a register; divides panel_width()
bool has_bf16_products();  // an instruction that multiplies bf16 and adds in float

}  // namespace osprey::simd
