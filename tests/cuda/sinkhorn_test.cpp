#include "cuda/sinkhorn.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Plan {
  std::vector<double> u, v;
  Values amounts;
};

Plan plan_of(Device device, const std::vector<double>& cost, const Values& supply, Shape shape,
             SinkhornRule rule, const Values& demand = {}, const std::vector<int>& rows = {}) {
  const int images = shape.n, m = shape.w, p = shape.c;
  Plan plan = {std::vector<double>(size_t(images * m), 77), std::vector<double>(size_t(images * p), 77),
               Values(cost.size(), 77)};
  Transport t;
  t.cost = {cost.data(), shape};
  t.supply = {supply.data(), {images, 1, 1, m}};
  if (!demand.empty()) t.demand = {demand.data(), {images, 1, 1, p}};
  if (!rows.empty()) t.rows = {rows.data(), {images, 1, 1, 1}};
  t.u = view(plan.u, {images, 1, 1, m});
  t.v = view(plan.v, {images, 1, 1, p});
  Stream s{device};
  on(s, cpu::sinkhorn, cuda::sinkhorn)(s, t, rule);
  on(s, cpu::transport_plan, cuda::transport_plan)(s, t, rule, view(plan.amounts, shape));
  return plan;
}

std::vector<double> random_costs(int count, uint64_t seed) {
  std::vector<double> costs;
  for (int i = 0; i < count; ++i) costs.push_back(Random(seed, Purpose::test, 3, uint64_t(i)).uniform());
  return costs;
}

class SinkhornByHand : public testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, SinkhornByHand, testing::Values(Device::cpu, Device::cuda));

// By symmetry a and b in rows {a, b} and {b, a}, where a + b = 1 and b/a = exp(-cost / eps). The 1e-8 that
// amounts get, and rounding of floats: 1e-6.
TEST_P(SinkhornByHand, TwoByTwo) {
  SinkhornRule rule;
  rule.eps = .5f;
  const double b = 1 / (1 + std::exp(.3 / .5));
  const Plan plan = plan_of(GetParam(), {0, .3, .3, 0}, {1, 1}, {1, 1, 2, 2}, rule);
  const double want[] = {1 - b, b, b, 1 - b};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(plan.amounts[i], want[i], 1e-6);
}

// One step by hand: v = eps (ln 1 - ln(2 e^(1/eps))) at cost 0, then u = eps (ln 3 - ln(e^v/eps)).
TEST_P(SinkhornByHand, PotentialsBeginAtOneAndDemandComesFirst) {
  SinkhornRule rule = {.5f, 1};
  const Plan plan = plan_of(GetParam(), {0, 0}, {3, 1}, {1, 1, 2, 1}, rule);
  const double v = -1 - .5 * std::log(2);
  EXPECT_NEAR(plan.v[0], v, 1e-7);
  EXPECT_NEAR(plan.u[0], .5 * std::log(3) - v, 1e-7);
  EXPECT_NEAR(plan.u[1], -v, 1e-7);
}

// u is set last, so rows are exact, but for rounding to float; columns come near.
TEST_P(SinkhornByHand, SupplyAndDemandAreMet) {
  const int m = 4, p = 150;
  Values supply = {30, 60, 2, 108}, demand(p, 1);
  for (size_t i = 0; i < 50; ++i) demand[i] = 2;  // 200 in all
  for (const bool given : {true, false}) {
    if (!given) supply[3] = 58;
    const Plan plan = plan_of(GetParam(), random_costs(m * p, 1), supply, {1, 1, m, p}, {.1f, 100},
                              given ? demand : Values());
    for (int r = 0; r < m; ++r) {
      double sum = 0;
      for (int i = 0; i < p; ++i) sum += plan.amounts[size_t(r * p + i)];
      EXPECT_NEAR(sum, supply[size_t(r)], 1e-5 * supply[size_t(r)]);
    }
    for (int i = 0; i < p; ++i) {
      double sum = 0;
      for (int r = 0; r < m; ++r) sum += plan.amounts[size_t(r * p + i)];
      EXPECT_NEAR(sum, given ? demand[size_t(i)] : 1, 1e-3);
    }
  }
}

// What a supplier asks more of everybody changes nothing, even a million, a tenth of which floats tell apart.
TEST_P(SinkhornByHand, LargeCostsHideNothing) {
  const Values supply = {5, 15};
  std::vector<double> cost = random_costs(40, 2);
  const Plan plain = plan_of(GetParam(), cost, supply, {1, 1, 2, 20}, {});
  for (size_t i = 0; i < 20; ++i) cost[i] += 1e6;
  const Plan more = plan_of(GetParam(), cost, supply, {1, 1, 2, 20}, {});
  for (size_t i = 0; i < 40; ++i) EXPECT_NEAR(more.amounts[i], plain.amounts[i], 1e-5);
}

TEST_P(SinkhornByHand, OnlyTheSuppliersOfAnImage) {
  const std::vector<double> cost = random_costs(2 * 3 * 4, 3);
  const Values supply = {1, 3, 99, 4, 99, 99};
  const Plan plan = plan_of(GetParam(), cost, supply, {2, 1, 3, 4}, {}, {}, {2, 1});
  const Plan alone =
      plan_of(GetParam(), {cost.begin(), cost.begin() + 8}, {1, 3}, {1, 1, 2, 4}, SinkhornRule());
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(plan.amounts[i], alone.amounts[i]);
  for (size_t i = 8; i < 12; ++i) EXPECT_EQ(plan.amounts[i], 77);
  for (size_t i = 12; i < 16; ++i) EXPECT_NEAR(plan.amounts[i], 1, 1e-6);
  for (size_t i = 16; i < 24; ++i) EXPECT_EQ(plan.amounts[i], 77);
}

// The block adds in another order, and a float may then round otherwise: 1e-6.
TEST(Sinkhorn, TheGpuAgreesWithTheCpu) {
  for (const int customers : {1, 100, 300}) {
    const Shape shape = {2, 1, 5, customers};
    const std::vector<double> cost = random_costs(int(shape.elements()), 4);
    const std::vector<int> rows = {5, 2};
    const Values supply = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const Plan want = plan_of(Device::cpu, cost, supply, shape, {.1f, 10}, {}, rows);
    in_all_orders([&] {
      const Plan got = plan_of(Device::cuda, cost, supply, shape, {.1f, 10}, {}, rows);
      for (size_t i = 0; i < want.amounts.size(); ++i)
        ASSERT_NEAR(got.amounts[i], want.amounts[i], 1e-6 * (1 + want.amounts[i])) << i;
      for (size_t i = 0; i < want.u.size(); ++i)
        if (i % 5 < size_t(rows[i / 5])) {
          ASSERT_NEAR(got.u[i], want.u[i], 1e-6) << i;
        }
    });
  }
}

}  // namespace
}  // namespace osprey::test
