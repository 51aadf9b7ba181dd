// Golden tests: what PyTorch, pycocotools and others computed, as folders with case.json and one .npy per
// array (cases/README.md has the format). A test is written for an op, and runs every case of that op in the
// set at $OSPREY_GOLDEN, or in cases/ beside this file:
//
//   GOLDEN(conv2d) {                                    // the op; `c` is the Case
//     const std::vector<int> stride = c.params().at("stride");
//     ...
//     c.expect("y", nchw(y, {n, h, w, channels}));
//   }
//
// Where the cases of one op follow several conventions, one test says which of them it covers:
//
//   GOLDEN_WHERE(iou_matrix_plain, "iou_matrix", c.params().value("convention", "") == "no +1") { ... }
//
// GOLDEN_ON_DEVICES runs its cases twice, with `device` as the CPU and as the (emulated) GPU.
//
// `golden_tests --table` prints every case of the set and whether a test covers it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/npy.h"
#include "core/stream.h"

namespace osprey::golden {

class Case {
 public:
  explicit Case(const std::string& folder);  // throws Error when case.json is missing or malformed

  const std::string& name() const { return name_; }
  const std::string& op() const { return op_; }
  const std::string& folder() const { return folder_; }
  const nlohmann::json& params() const { return json_["params"]; }
  // params()[key], or `otherwise` where it is missing or null.
  template <class T>
  T param(const std::string& key, T otherwise) const {
    const auto found = params().find(key);
    return found == params().end() || found->is_null() ? otherwise : found->get<T>();
  }

  bool has(const std::string& array) const { return json_["arrays"].contains(array); }  // input or expected
  Array array(const std::string& array) const;  // throws Error when there is none of that name
  std::vector<float> floats(const std::string& name) const { return array(name).floats(); }
  std::vector<int> ints(const std::string& name) const { return array(name).ints(); }
  std::vector<int> shape(const std::string& name) const { return array(name).shape; }
  bool has_value(const std::string& key) const { return values().contains(key); }
  const nlohmann::json& values() const { return json_["expected_values"]; }

  // Fails the test, naming case, array, index, got and want, unless every |got - want| <= atol + rtol |want|
  // with the case's own rtol and atol; integer arrays must be equal. NaN is expected where the case holds
  // NaN.
  void expect(const std::string& array, const std::vector<float>& got) const;
  void expect(const std::string& array, const std::vector<double>& got) const;
  void expect(const std::string& array, const std::vector<int>& got) const;
  // The same for a scalar, or one number of a list (index), of `expected_values`.
  void expect_value(const std::string& key, double got, double tolerance = 1e-6) const;
  void expect_value(const std::string& key, int index, double got, double tolerance = 1e-6) const;

 private:
  std::string name_, op_, folder_;
  nlohmann::json json_;
};

// All cases of the set, or those of one op, by name.
const std::vector<Case>& all_cases();
std::vector<Case> cases_of(const std::string& op);

// Golden images and feature maps are [N,C,H,W], the engine's are [N,H,W,C]. Arrays with fewer axes are
// unchanged but for their lack of leading axes: [C,H,W] is one image, and a vector is itself.
std::vector<float> nhwc(const Array& nchw_array);
std::vector<float> nhwc(const std::vector<float>& nchw_values, const std::vector<int>& nchw_shape);
std::vector<float> nchw(const std::vector<float>& nhwc_values, const std::vector<int>& nhwc_shape);

struct GoldenTest {
  std::string op;
  bool (*covers)(const Case&);
  void (*run)(const Case&, Device);
};
const GoldenTest* register_golden_test(const GoldenTest& test);
bool is_covered(const Case& c);  // by a registered test
// Runs a test on every case it covers. Without any it fails, unless $OSPREY_GOLDEN names another set.
void run_golden_test(const GoldenTest& test, Device device = Device::cpu);
void print_table();

}  // namespace osprey::golden

#define GOLDEN(op) GOLDEN_WHERE(op, #op, true)

#define GOLDEN_WHERE(test, op, condition)  \
  GOLDEN_REGISTER(test, op, condition)     \
  GOLDEN_BODY(test)

#define GOLDEN_ON_DEVICES(op)                                                    \
  GOLDEN_REGISTER(op, #op, true)                                                 \
  TEST(golden, op##_emulated) {                                                  \
    ::osprey::golden::run_golden_test(*registered_##op, ::osprey::Device::cuda); \
  }                                                                              \
  GOLDEN_BODY(op)

#define GOLDEN_BODY(test)                                                      \
  static void golden_##test([[maybe_unused]] const ::osprey::golden::Case& c, \
                            [[maybe_unused]] ::osprey::Device device)

#define GOLDEN_REGISTER(test, op, condition)                                                       \
  GOLDEN_BODY(test);                                                                               \
  static const ::osprey::golden::GoldenTest* const registered_##test =                             \
      ::osprey::golden::register_golden_test(                                                      \
          {op, []([[maybe_unused]] const ::osprey::golden::Case& c) -> bool { return condition; }, \
           golden_##test});                                                                        \
  TEST(golden, test) { ::osprey::golden::run_golden_test(*registered_##test); }
