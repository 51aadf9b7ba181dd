// A captured graph must do what its body did, with the arguments of that time and the memory of now. These
// tests use nothing of the emulation, so that they can be run on a GPU, too.
#include "cuda/graph.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/view.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

__global__ void add_kernel(View<float> x, float value) {
  const int i = global_thread();
  if (i >= x.size()) return;
  x[i] += value;
}

__global__ void double_kernel(View<const float> x, View<float> y) {
  const int i = global_thread();
  if (i >= x.size()) return;
  y[i] = 2 * x[i];
}

constexpr int kSize = 300;
constexpr size_t kBytes = kSize * sizeof(float);

class GraphTest : public testing::Test {
 protected:
  GraphTest() {
    fill_zero(stream, x.data, kBytes);
    fill_zero(stream, y.data, kBytes);
  }
  ~GraphTest() override {
    synchronize(stream);
    release(x.data);
    release(y.data);
    release_stream(stream);
  }
  static View<float> memory() { return {static_cast<float*>(allocate(kBytes)), {1, 1, 1, kSize}}; }
  void add(View<float> v, float value) { launch<add_kernel>(stream, one_thread_each(v.size()), v, value); }

  std::vector<float> values(View<float> v) {
    std::vector<float> host(kSize);
    copy(stream, host.data(), v.data, kBytes);
    synchronize(stream);
    return host;
  }
  static std::vector<float> all(float value) { return std::vector<float>(kSize, value); }

  std::string capture_error(const std::function<void()>& body) {
    try {
      graph.capture(stream, body);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  void expect_stream_works() {
    EXPECT_FALSE(graph.captured());
    fill_zero(stream, x.data, kBytes);
    graph.capture(stream, [&] { add(x, 3); });
    graph.replay(stream);
    EXPECT_EQ(values(x), all(3));
  }

  Stream stream = make_stream();
  View<float> x = memory(), y = memory();
  Graph graph;
};

TEST_F(GraphTest, CaptureRunsNothing) {
  graph.capture(stream, [&] { add(x, 1); });
  EXPECT_TRUE(graph.captured());
  EXPECT_EQ(values(x), all(0));
}

TEST_F(GraphTest, ArgumentsAreFrozenAndMemoryIsNot) {
  float value = 2;
  View<float> target = x;
  graph.capture(stream, [&] { add(target, value); });
  value = 100;
  target = y;
  add(x, 5);
  graph.replay(stream);
  EXPECT_EQ(values(x), all(7));
  EXPECT_EQ(values(y), all(0));
}

TEST_F(GraphTest, TenReplaysEqualTenRuns) {
  const auto body = [&] {
    add(x, 1);
    launch<double_kernel>(stream, one_thread_each(kSize), View<const float>(x), y);
    copy(stream, x.data, y.data, kBytes);
    fill_zero(stream, y.data, kBytes / 2);
  };
  for (int i = 0; i < 10; ++i) body();
  const std::vector<float> want_x = values(x), want_y = values(y);
  EXPECT_EQ(want_x, all(2046));
  fill_zero(stream, x.data, kBytes);
  fill_zero(stream, y.data, kBytes);
  graph.capture(stream, body);
  for (int i = 0; i < 10; ++i) graph.replay(stream);
  EXPECT_EQ(values(x), want_x);
  EXPECT_EQ(values(y), want_y);
}

TEST_F(GraphTest, CopiesFromPinnedMemoryReadItAtTheReplay) {
  auto* pinned = static_cast<float*>(allocate_pinned(kBytes));
  graph.capture(stream, [&] { copy(stream, x.data, pinned, kBytes); });
  for (float value : {4.0f, 9.0f}) {
    std::fill(pinned, pinned + kSize, value);
    graph.replay(stream);
    EXPECT_EQ(values(x), all(value));
  }
  release_pinned(pinned);
}

TEST_F(GraphTest, TheLastCaptureCountsAndGraphsCanBeMoved) {
  graph.capture(stream, [&] { add(x, 1); });
  graph.capture(stream, [&] { add(x, 10); });
  Graph moved = std::move(graph);
  EXPECT_FALSE(graph.captured());
  moved.replay(stream);
  EXPECT_EQ(values(x), all(10));
}

TEST_F(GraphTest, WhatCannotBeCapturedIsAnErrorAndTheStreamWorksOn) {
  EXPECT_NE(capture_error([&] { allocate(16); }), "");
  expect_stream_works();
  graph = Graph();
  EXPECT_NE(capture_error([&] { synchronize(stream); }), "");
  expect_stream_works();
  graph = Graph();
  EXPECT_EQ(capture_error([&] { Graph().capture(stream, [] {}); }),
            "another capture is not possible during a capture");
  expect_stream_works();
}

TEST_F(GraphTest, ReleasingMemoryDuringACaptureIsAnError) {
  if (!emulated()) GTEST_SKIP() << "CUDA prints and goes on";
  void* memory = allocate(16);
  EXPECT_EQ(capture_error([&] { release(memory); }),
            "the release of device memory is not possible during a capture");
  expect_stream_works();
}

TEST_F(GraphTest, ABodyThatThrowsEndsTheCapture) {
  EXPECT_THROW(graph.capture(stream,
                             [&] {
                               add(x, 1);
                               throw std::runtime_error("of the body");
                             }),
               std::runtime_error);
  expect_stream_works();
}

TEST_F(GraphTest, NeedsAStreamAndACapture) {
  Stream default_stream{Device::cuda, nullptr};
  EXPECT_THROW(graph.capture(default_stream, [] {}), Error);
  EXPECT_THROW(graph.replay(stream), Error);
}

}  // namespace
}  // namespace osprey::cuda
