#include "cuda/sinkhorn.h"

#include "cuda/block.cuh"

namespace osprey::cuda {
namespace {

constexpr int kSinkhornThreads = 128;

// A thread for each customer (x) of each image (y).
Grid one_thread_per_customer(const Transport& t) {
  return {dim3(unsigned((t.customers() + kSinkhornThreads - 1) / kSinkhornThreads), unsigned(t.images())),
          dim3(kSinkhornThreads)};
}

// A block for each supplier there is room for (x) of each image (y).
Grid one_block_per_supplier(const Transport& t) {
  return {dim3(unsigned(t.cost.shape.w), unsigned(t.images())), dim3(kSinkhornThreads)};
}

// One thread per supplier there is room for, of all images.
__global__ void begin_sinkhorn_kernel(View<double> u) {
  const int i = global_thread();
  if (i < u.size()) u[i] = 1;
}

// One thread per customer (x) and image (y), which goes over the suppliers.
__global__ void match_demand_kernel(Transport t, SinkhornRule rule) {
  const int p = global_thread(), image = int(blockIdx.y), rows = t.suppliers(image);
  if (p >= t.customers()) return;
  const auto exponent = [&](int r) { return (t.u(image, 0, 0, r) - t.cost(image, 0, r, p)) / rule.eps; };
  double largest = exponent(0), sum = 0;
  for (int r = 1; r < rows; ++r) largest = fmax(largest, exponent(r));
  for (int r = 0; r < rows; ++r) sum += expf(float(exponent(r) - largest));
  t.v(image, 0, 0, p) = rule.eps * (rule.log_amount(t.wanted(image, p)) - largest - log(sum));
}

// One block per supplier (x) and image (y), whose threads share the customers.
__global__ void match_supply_kernel(Transport t, SinkhornRule rule) {
  const int r = int(blockIdx.x), image = int(blockIdx.y), customers = t.customers();
  if (r >= t.suppliers(image)) return;  // the whole block
  const auto exponent = [&](int p) { return (t.v(image, 0, 0, p) - t.cost(image, 0, r, p)) / rule.eps; };
  double largest = -INFINITY, sum = 0;
  for (int p = int(threadIdx.x); p < customers; p += kSinkhornThreads) largest = fmax(largest, exponent(p));
  largest = block_max(largest);
  for (int p = int(threadIdx.x); p < customers; p += kSinkhornThreads)
    sum += expf(float(exponent(p) - largest));
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    t.u(image, 0, 0, r) = rule.eps * (rule.log_amount(t.supply(image, 0, 0, r)) - largest - log(sum));
}

// One thread per customer (x) and image (y), which goes over the suppliers.
__global__ void transport_plan_kernel(Transport t, SinkhornRule rule, View<float> plan) {
  const int p = global_thread(), image = int(blockIdx.y);
  if (p >= t.customers()) return;
  for (int r = 0; r < t.suppliers(image); ++r)
    plan(image, 0, r, p) =
        expf(float((t.u(image, 0, 0, r) + t.v(image, 0, 0, p) - t.cost(image, 0, r, p)) / rule.eps));
}

}  // namespace

void sinkhorn(Stream& s, Transport t, SinkhornRule rule) {
  launch<begin_sinkhorn_kernel>(s, one_thread_each(t.u.size()), t.u);
  for (int i = 0; i < rule.iterations; ++i) {
    launch<match_demand_kernel>(s, one_thread_per_customer(t), t, rule);
    launch<match_supply_kernel>(s, one_block_per_supplier(t), t, rule);
  }
}

void transport_plan(Stream& s, Transport t, SinkhornRule rule, View<float> plan) {
  launch<transport_plan_kernel>(s, one_thread_per_customer(t), t, rule, plan);
}

}  // namespace osprey::cuda
