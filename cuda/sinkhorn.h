// Optimal transport with an entropy term, by Sinkhorn's iteration on logarithms: "Sinkhorn Distances:
// Lightspeed Computation of Optimal Transport", Cuturi, NeurIPS 2013. The CPU side is in
// layers/matching/sinkhorn.cpp, the kernels in cuda/sinkhorn.cu.
//
// Goods go from M suppliers to P customers for each image. The plan that is cheapest, with eps times its
// entropy taken off, is exp((u + v - cost) / eps), where the potentials u and v make its rows add up to the
// supply and its columns to the demand. One after the other they are set so, again and again.
#pragma once

#include <cmath>

#include "core/stream.h"
#include "core/view.h"

namespace osprey {

struct SinkhornRule {
  float eps = .1f;
  int iterations = 50;  // with u from 1, v first

  // ln of an amount; never that of nothing.
  HOST_DEVICE double log_amount(float amount) const { return log(double(amount > 0 ? amount : 0) + 1e-8); }
};

// Potentials and differences are doubles: costs of 1e6 for what must not be hide, in floats over eps 0.1,
// differences that decide.
struct Transport {
  View<const double> cost;   // [N,1,M,P]
  View<const float> supply;  // [N,1,1,M]
  View<const float> demand;  // [N,1,1,P]; no view: 1
  View<const int> rows;      // [N,1,1,1]: suppliers, the first of M; no view: M. The others are not touched
  View<double> u;            // [N,1,1,M]
  View<double> v;            // [N,1,1,P]

  HOST_DEVICE int images() const { return cost.shape.n; }
  HOST_DEVICE int suppliers(int image) const { return rows ? rows[image] : cost.shape.w; }
  HOST_DEVICE int customers() const { return cost.shape.c; }
  HOST_DEVICE float wanted(int image, int p) const { return demand ? demand(image, 0, 0, p) : 1; }
};

namespace cpu {
// Writes u and v.
void sinkhorn(Stream&, Transport, SinkhornRule);
// Writes plan [N,1,M,P], in the rows of the suppliers.
void transport_plan(Stream&, Transport, SinkhornRule, View<float> plan);
}  // namespace cpu

namespace cuda {
void sinkhorn(Stream&, Transport, SinkhornRule);
void transport_plan(Stream&, Transport, SinkhornRule, View<float> plan);
}  // namespace cuda

}  // namespace osprey
