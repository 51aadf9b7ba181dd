#include "tests/golden/golden.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <list>

#include "core/error.h"

namespace osprey::golden {

namespace fs = std::filesystem;

namespace {

// One message per array, of the worst element, and how many were wrong.
void compare(const std::string& what, const std::vector<double>& want, const std::vector<double>& got,
             double rtol, double atol) {
  ASSERT_EQ(got.size(), want.size()) << what << ": number of values";
  size_t wrong = 0, worst = 0;
  double worst_excess = -1;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    const double excess = std::abs(got[i] - want[i]) - (atol + rtol * std::abs(want[i]));
    if (excess <= 0) continue;
    ++wrong;
    // A NaN is worse than any number, and the first of them is the one to look at.
    const double badness = std::isnan(excess) ? HUGE_VAL : excess;
    if (badness > worst_excess) worst = i, worst_excess = badness;
  }
  EXPECT_EQ(wrong, 0u) << what << ": " << wrong << " of " << want.size() << " values are off; worst at ["
                       << worst << "]: got " << got[worst] << ", want " << want[worst] << " (rtol " << rtol
                       << ", atol " << atol << ")";
}

template <class T>
std::vector<double> widened(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

// The four extents of an array with at most four axes, missing leading ones being 1.
std::vector<int> four_axes(const std::vector<int>& shape) {
  if (shape.size() > 4) fail("an array of {} axes is no feature map, expected at most 4", shape.size());
  std::vector<int> four(4 - shape.size(), 1);
  four.insert(four.end(), shape.begin(), shape.end());
  return four;
}

std::list<GoldenTest>& registry() {  // a list: tests keep pointers to its elements
  static std::list<GoldenTest> tests;
  return tests;
}

std::string set_folder() {
  const char* other = std::getenv("OSPREY_GOLDEN");
  return other && *other ? other : OSPREY_SOURCE_DIR "/tests/golden/cases";
}

}  // namespace

Case::Case(const std::string& folder) : folder_(folder) {
  const std::string path = folder + "/case.json";
  std::ifstream file(path);
  if (!file) fail("{}: cannot open this golden case", path);
  try {
    json_ = nlohmann::json::parse(file);
    name_ = json_.at("name");
    op_ = json_.at("op");
    for (const char* key : {"params", "arrays", "expected_values"}) {
      if (!json_.contains(key)) json_[key] = nlohmann::json::object();
    }
  } catch (const nlohmann::json::exception& e) {
    fail("{}: {}", path, e.what());
  }
}

Array Case::array(const std::string& array) const {
  if (!has(array)) fail("golden case {} has no array {}", name_, array);
  return read_npy(folder_ + "/" + json_["arrays"][array].value("file", array + ".npy"));
}

void Case::expect(const std::string& array, const std::vector<double>& got) const {
  const nlohmann::json entry = has(array) ? json_["arrays"][array] : nlohmann::json::object();
  const Array want = this->array(array);
  const bool exact = entry.value("exact", !entry.contains("atol"));
  compare(name_ + ": " + array, want.doubles(), got, exact ? 0 : entry.value("rtol", 0.0),
          exact ? 0 : entry.value("atol", 0.0));
}
void Case::expect(const std::string& array, const std::vector<float>& got) const {
  expect(array, widened(got));
}
void Case::expect(const std::string& array, const std::vector<int>& got) const {
  expect(array, widened(got));
}

void Case::expect_value(const std::string& key, double got, double tolerance) const {
  if (!has_value(key)) fail("golden case {} has no expected value {}", name_, key);
  compare(name_ + ": " + key, {values()[key].get<double>()}, {got}, tolerance, tolerance);
}

void Case::expect_value(const std::string& key, int index, double got, double tolerance) const {
  if (!has_value(key)) fail("golden case {} has no expected value {}", name_, key);
  compare(name_ + ": " + key + "[" + std::to_string(index) + "]", {values()[key].at(index).get<double>()},
          {got}, tolerance, tolerance);
}

const std::vector<Case>& all_cases() {
  static const std::vector<Case> cases = [] {
    const std::string folder = set_folder();
    if (!fs::is_directory(folder)) fail("{}: no such folder of golden cases", folder);
    std::vector<Case> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (fs::exists(entry.path() / "case.json")) found.emplace_back(entry.path().string());
    }
    std::sort(found.begin(), found.end(), [](const Case& a, const Case& b) { return a.name() < b.name(); });
    return found;
  }();
  return cases;
}

std::vector<Case> cases_of(const std::string& op) {
  std::vector<Case> found;
  for (const Case& c : all_cases()) {
    if (c.op() == op) found.push_back(c);
  }
  return found;
}

std::vector<float> nhwc(const Array& nchw_array) { return nhwc(nchw_array.floats(), nchw_array.shape); }

std::vector<float> nhwc(const std::vector<float>& nchw_values, const std::vector<int>& nchw_shape) {
  if (nchw_shape.size() < 3) return nchw_values;
  const std::vector<int> s = four_axes(nchw_shape);
  const int channels = s[1], pixels = s[2] * s[3];
  std::vector<float> values(nchw_values.size());
  for (int n = 0, i = 0; n < s[0]; ++n) {
    for (int c = 0; c < channels; ++c) {
      for (int p = 0; p < pixels; ++p) values.at((size_t(n) * pixels + p) * channels + c) = nchw_values[i++];
    }
  }
  return values;
}

std::vector<float> nchw(const std::vector<float>& nhwc_values, const std::vector<int>& nhwc_shape) {
  if (nhwc_shape.size() < 3) return nhwc_values;
  const std::vector<int> s = four_axes(nhwc_shape);
  const int channels = s[3], pixels = s[1] * s[2];
  std::vector<float> values(nhwc_values.size());
  for (int n = 0, i = 0; n < s[0]; ++n) {
    for (int p = 0; p < pixels; ++p) {
      for (int c = 0; c < channels; ++c)
        values.at((size_t(n) * channels + c) * pixels + p) = nhwc_values.at(i++);
    }
  }
  return values;
}

const GoldenTest* register_golden_test(const GoldenTest& test) { return &registry().emplace_back(test); }

bool is_covered(const Case& c) {
  return std::any_of(registry().begin(), registry().end(),
                     [&](const GoldenTest& test) { return test.op == c.op() && test.covers(c); });
}

void run_golden_test(const GoldenTest& test, Device device) {
  int covered = 0;
  for (const Case& c : cases_of(test.op)) {
    if (!test.covers(c)) continue;
    ++covered;
    SCOPED_TRACE("golden case " + c.name());
    try {
      test.run(c, device);
    } catch (const std::exception& e) {  // the other cases are run all the same
      ADD_FAILURE() << c.name() << ": " << e.what();
    }
  }
  if (!covered && !std::getenv("OSPREY_GOLDEN")) {
    FAIL() << set_folder() << ": no case of op " << test.op << " for this test";
  }
}

void print_table() {
  size_t tested = 0;
  for (const Case& c : all_cases()) {
    const bool covered = is_covered(c);
    tested += covered;
    std::printf("%-36s %-24s %s\n", c.name().c_str(), c.op().c_str(), covered ? "tested" : "not yet");
  }
  std::printf("%zu of %zu cases of %s are tested\n", tested, all_cases().size(), set_folder().c_str());
}

}  // namespace osprey::golden
