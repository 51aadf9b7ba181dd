// Updates of parameters by hand, on the CPU and by the kernels, and that the two agree.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/random.h"
#include "cuda/runtime.h"

namespace osprey {
namespace {

constexpr float kStatisticMomentum = 0.1f;

// Spans of `size` values each, and the optimizer's buffers in memory of a device.
class Buffers {
 public:
  Buffers(Device device, int size, const NetSection& net, int later_mini_batches = 0) : stream_{device} {
    size_t offset = 0;
    for (const auto& [name, role, rate] :
         {std::tuple{"weights", Role::weights, 1.0f}, std::tuple{"biases", Role::offset, 1.0f},
          std::tuple{"rolling_mean", Role::statistic, 1.0f}, std::tuple{"weights", Role::weights, 2.0f},
          std::tuple{"weights", Role::weights, 0.0f}}) {
      ParameterSpan span{};
      span.shape = {1, 1, 1, size};
      span.info = {name, role};
      span.info.momentum = kStatisticMomentum;
      span.rate = rate;
      span.offset = offset;
      spans_.push_back(span);
      offset += size_t(size + kLineFloats - 1) / kLineFloats * kLineFloats;
    }
    count_ = offset;
    p_.lines = int(count_ / kLineFloats);
    for (float** buffer : {&p_.values, &p_.gradients, &p_.momentum, &p_.squares, &p_.average})
      put(*buffer = static_cast<float*>(take(count_ * sizeof(float))), std::vector<float>(count_));
    put(p_.copy = static_cast<bf16*>(take(count_ * sizeof(bf16))), std::vector<bf16>(count_));
    const std::vector<int> lines = spans_of_lines(spans_, count_);
    int* of_line = static_cast<int*>(take(lines.size() * sizeof(int)));
    put(of_line, lines);
    p_.span_of_line = of_line;
    const std::vector<SpanRule> rules = span_rules(spans_, net, later_mini_batches);
    SpanRule* of_span = static_cast<SpanRule*>(take(rules.size() * sizeof(SpanRule)));
    put(of_span, rules);
    p_.spans = of_span;
    faults_ = static_cast<Faults*>(take(sizeof(Faults)));
    step_ = static_cast<Step*>(take(sizeof(Step)));
    factor_ = static_cast<float*>(take(sizeof(float)));
    parts_ = static_cast<double*>(take(sizeof(double) * size_t(clip_parts(p_.lines))));
  }
  ~Buffers() {
    for (void* memory : taken_) memory_of(stream_.device).release(memory);
  }
  Buffers(const Buffers&) = delete;

  template <class T>
  void put(T* to, const std::vector<T>& values) {
    cuda::copy(stream_, to, values.data(), values.size() * sizeof(T));
    cuda::synchronize(stream_);
  }
  template <class T>
  std::vector<T> get(const T* from, size_t count) {
    std::vector<T> values(count);
    cuda::copy(stream_, values.data(), from, count * sizeof(T));
    cuda::synchronize(stream_);
    return values;
  }
  // The same for every span, without what follows it in its last line.
  void put_all(float* buffer, auto value_of) {
    std::vector<float> values(count_, 0);
    for (const ParameterSpan& s : spans_)
      for (int i = 0; i < s.shape.size(); ++i) values[s.offset + size_t(i)] = value_of(i);
    put(buffer, values);
  }
  float value(int span, int i) { return get(p_.values + spans_[size_t(span)].offset + i, 1)[0]; }

  void update(const NetSection& net, float rate, int64_t iteration, WeightAveraging averaging = {}) {
    Step step;
    step.learning_rate = rate;
    step.iteration = iteration;
    put(step_, std::vector{step});
    on(stream_, cpu::clear_faults, cuda::clear_faults)(stream_, faults_);
    on(stream_, cpu::check_gradients, cuda::check_gradients)(stream_, p_, faults_);
    if (net.clip_norm > 0) {
      p_.clip = factor_;
      on(stream_, cpu::clip_gradients, cuda::clip_gradients)(stream_, p_, ClipRule{net.clip_norm, net.batch},
                                                             parts_, factor_);
    }
    if (net.optimizer == Rule::sgd)
      on(stream_, cpu::sgd_step, cuda::sgd_step)(stream_, p_, sgd_rule(net), averaging, step_, faults_);
    else if (net.optimizer == Rule::rmsprop)
      on(stream_, cpu::rmsprop_step, cuda::rmsprop_step)(stream_, p_, rmsprop_rule(net), averaging, step_,
                                                         faults_);
    else
      on(stream_, cpu::adam_step, cuda::adam_step)(stream_, p_, adam_rule(net), averaging, step_, faults_);
  }
  Faults faults() { return get(faults_, 1)[0]; }

  Stream stream_;
  std::vector<ParameterSpan> spans_;
  size_t count_ = 0;
  ParameterLines p_;
  Faults* faults_ = nullptr;
  Step* step_ = nullptr;
  float* factor_ = nullptr;
  double* parts_ = nullptr;

 private:
  void* take(size_t bytes) { return taken_.emplace_back(memory_of(stream_.device).allocate(bytes)); }
  std::vector<void*> taken_;
};

NetSection net_of(int batch, float momentum, float decay) {
  NetSection net;
  net.batch = batch;
  net.momentum = momentum;
  net.decay = decay;
  return net;
}

class OptimizerOn : public testing::TestWithParam<Device> {};

// Three spans of three values are trained (not the statistic, nor the frozen one): the norm of the gradients
// is sqrt(9 * 2^2) = 6, of their mean over the batch of 4 it is 1.5.
TEST_P(OptimizerOn, TheNormOfAllGradientsIsBounded) {
  for (const auto& [most, factor] : {std::pair{.75f, .5f}, {1.5f, 1.f}, {3.f, 1.f}}) {
    SCOPED_TRACE(most);
    NetSection net = net_of(4, 0, .1f);
    net.clip_norm = most;
    Buffers b(GetParam(), 3, net);
    b.put_all(b.p_.values, [](int) { return 1.0f; });
    b.put_all(b.p_.gradients, [](int) { return 2.0f; });
    b.update(net, .01f, 1);
    EXPECT_NEAR(b.get(b.factor_, 1)[0], factor, 1e-6);                  // PyTorch adds 1e-6 to the norm
    EXPECT_NEAR(b.value(0, 0), 1 - .0025f * (2 * factor + .4f), 1e-6);  // decay is not clipped
    EXPECT_NEAR(b.value(1, 2), 1 - .0025f * 2 * factor, 1e-6);
    EXPECT_EQ(b.value(4, 0), 1);
  }
}

// Several parts, of which the last is not full.
TEST(Optimizer, DevicesBoundTheNormAlike) {
  NetSection net = net_of(2, .9f, .1f);
  net.clip_norm = 3;
  net.optimizer = Rule::rmsprop;
  std::vector<float> factors, values;
  for (const Device device : {Device::cpu, Device::cuda}) {
    Buffers b(device, 20003, net);
    b.put_all(b.p_.values, [](int i) { return float(i % 7); });
    b.put_all(b.p_.gradients, [](int i) { return float(i % 11 - 5) / 8; });
    b.update(net, .01f, 1);
    factors.push_back(b.get(b.factor_, 1)[0]);
    values.push_back(b.value(3, 20002));
  }
  double squares = 0;
  for (int i = 0; i < 20003; ++i) squares += 3 * std::pow((i % 11 - 5) / 8., 2);
  EXPECT_NEAR(factors[0], 3 / (std::sqrt(squares) / 2), 1e-6);
  EXPECT_FLOAT_EQ(factors[0], factors[1]);
  EXPECT_FLOAT_EQ(values[0], values[1]);
}

// decay 0.1 and batch 4: v = 2 + 0.4 w, w -= 0.01 / 4 v; then v' = 0.9 v + 1 + 0.4 w.
TEST_P(OptimizerOn, MomentumDecayAndRateAreDarknets) {
  const NetSection net = net_of(4, 0.9f, 0.1f);
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.values, [](int i) { return float(i + 1); });
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });
  b.update(net, 0.01f, 1);
  EXPECT_FLOAT_EQ(b.value(0, 0), 1 - 0.0025f * 2.4f);
  EXPECT_FLOAT_EQ(b.value(0, 2), 3 - 0.0025f * 3.2f);
  EXPECT_FLOAT_EQ(b.value(1, 0), 1 - 0.0025f * 2);    // an offset does not decay
  EXPECT_EQ(b.value(2, 0), 1);                        // a statistic is not trained
  EXPECT_FLOAT_EQ(b.value(3, 0), 1 - 0.005f * 2.4f);  // twice the rate
  EXPECT_EQ(b.value(4, 2), 3);                        // frozen: decay does not touch it either
  for (size_t span : {0, 1, 3, 4})
    EXPECT_EQ(b.get(b.p_.gradients + b.spans_[span].offset, 3), std::vector<float>(3)) << span;

  b.put_all(b.p_.gradients, [](int) { return 1.0f; });
  b.update(net, 0.01f, 2);
  const float w = 1 - 0.0025f * 2.4f, v = 0.9f * 2.4f + 1 + 0.4f * w;
  EXPECT_NEAR(b.value(0, 0), w - 0.0025f * v, 1e-7);
}

// The rate is outside of the momentum: a lower one slows at once what is under way.
TEST_P(OptimizerOn, AChangeOfRateActsOnTheWholeMomentum) {
  const NetSection net = net_of(1, 0.5f, 0);
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.values, [](int) { return 1.0f; });
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });
  b.update(net, 0.1f, 1);
  EXPECT_FLOAT_EQ(b.value(1, 0), 1 - 0.1f * 2);
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });
  b.update(net, 0.001f, 2);
  EXPECT_FLOAT_EQ(b.value(1, 0), 1 - 0.1f * 2 - 0.001f * 3);
}

// Adam's first step is the sign of the gradient, whatever its scale; decay acts on biases too.
TEST_P(OptimizerOn, AdamsFirstStepIsTheRateInTheGradientsDirection) {
  NetSection net = net_of(4, 0.9f, 0.5f);
  net.optimizer = Rule::adam;
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.gradients, [](int i) { return i == 1 ? -300.0f : 0.01f; });
  b.put_all(b.p_.values, [](int i) { return i == 2 ? -1.0f : 0.0f; });
  b.update(net, 0.125f, 1);
  for (const int span : {0, 1}) {
    EXPECT_NEAR(b.value(span, 0), -0.125f, 0.125f * 2e-4f);  // 0.01 / (0.01 + epsilon)
    EXPECT_NEAR(b.value(span, 1), 0.125f, 1e-6f);
    EXPECT_NEAR(b.value(span, 2), -1 + 0.125f, 1e-6f);  // -1 decays by 0.5 * 4, more than the gradient
  }
  EXPECT_EQ(b.value(2, 2), -1);
}

// v = 2, then the step looks ahead: 2 + 0.5 * 2.
TEST_P(OptimizerOn, NesterovsStepIsOneMomentumAhead) {
  NetSection net = net_of(4, 0.5f, 0);
  net.nesterov = true;
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });
  b.update(net, 0.125f, 1);
  EXPECT_EQ(b.value(0, 0), -0.125f / 4 * 3);
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });
  b.update(net, 0.125f, 2);
  EXPECT_EQ(b.value(0, 0), -0.125f / 4 * (3 + 2 + 0.5f * 3));
}

// The batch is as if its gradients had been averaged, epsilon of the size of the gradient included; decay
// takes its share of the value whatever the gradient, and not of biases.
TEST_P(OptimizerOn, AdamWDecaysApartFromTheMeanGradient) {
  NetSection net = net_of(4, 0.9f, 0.5f);
  net.optimizer = Rule::adamw;
  net.epsilon = 0.25f;
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.gradients, [](int i) { return i == 1 ? -1.0f : 1.0f; });  // 1/4 on the mean
  b.put_all(b.p_.values, [](int i) { return i == 2 ? 8.0f : 0.0f; });
  b.update(net, 0.125f, 1);
  for (const int span : {0, 1}) {
    EXPECT_NEAR(b.value(span, 0), -0.125f / 2, 1e-6f);
    EXPECT_NEAR(b.value(span, 1), 0.125f / 2, 1e-6f);
  }
  EXPECT_NEAR(b.value(0, 2), 8 * (1 - 0.0625f) - 0.125f / 2, 1e-6f);
  EXPECT_NEAR(b.value(1, 2), 8 - 0.125f / 2, 1e-6f);
  EXPECT_NEAR(b.value(3, 2), 8 * (1 - 0.125f) - 0.125f, 2e-6f);  // twice the rate
  EXPECT_EQ(b.value(4, 2), 8);                                   // frozen
}

// s = 0.25 g^2, so that a step is the rate times g / (0.5 g + epsilon); decay is in g.
TEST_P(OptimizerOn, RmsPropScalesTheMeanGradient) {
  NetSection net = net_of(4, 0.5f, 0.25f);
  net.optimizer = Rule::rmsprop;
  net.alpha = 0.75f;
  net.epsilon = 0.25f;
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.values, [](int i) { return i == 2 ? 2.0f : 0.0f; });
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });  // 1/2 on the mean; with decay 1
  b.update(net, 0.125f, 1);
  EXPECT_EQ(b.value(0, 0), -0.125f);                      // 0.5 / (0.25 + 0.25)
  EXPECT_NEAR(b.value(0, 2), 2 - 0.125f / 0.75f, 1e-6f);  // 1 / (0.5 + 0.25)
  EXPECT_EQ(b.value(1, 2), 2 - 0.125f);                   // a bias does not decay
  b.put_all(b.p_.gradients, [](int) { return 0.0f; });
  b.update(net, 0.125f, 2);
  EXPECT_EQ(b.value(1, 0), -0.125f - 0.0625f);  // the momentum goes on
}

TEST_P(OptimizerOn, NothingMovesWhenAGradientIsNotFinite) {
  const NetSection net = net_of(1, 0.9f, 0.1f);
  Buffers b(GetParam(), 3, net);
  b.put_all(b.p_.values, [](int) { return 1.0f; });
  b.put_all(b.p_.gradients, [](int) { return 2.0f; });
  b.put(b.p_.gradients + b.spans_[2].offset, std::vector<float>{NAN});  // that of a statistic is nobody's
  b.put(b.p_.gradients + b.spans_[3].offset + 2, std::vector<float>{INFINITY});
  b.update(net, 0.1f, 1);
  EXPECT_EQ(b.faults().span, 3);
  EXPECT_EQ(b.value(0, 0), 1);
  b.put_all(b.p_.gradients, [](int) { return 3e38f; });  // large is not infinite
  b.update(net, 0.1f, 1);
  EXPECT_FALSE(b.faults().any());
  EXPECT_NE(b.value(0, 0), 1);
}

TEST_P(OptimizerOn, TheAverageFollowsAndTakesThePlaceOfTheParameters) {
  const NetSection net = net_of(1, 0, 0);
  Buffers b(GetParam(), 3, net);
  const WeightAveraging averaging = {0.75f, 2, 4};
  float average = 0, value = 0;
  for (int64_t t = 1; t <= 5; ++t) {
    b.put_all(b.p_.gradients, [](int) { return 1.0f; });
    b.update(net, 1, t, averaging);
    value -= 1;
    if (t == 2) average = value;
    if (t == 3) average = 0.75f * average + 0.25f * value;
    if (t == 4) value = average;
    EXPECT_EQ(b.value(1, 0), value) << t;
    EXPECT_EQ(b.get(b.p_.average + b.spans_[1].offset, 1)[0], average) << t;
    EXPECT_EQ(float(b.get(b.p_.copy + b.spans_[1].offset, 1)[0]), float(bf16(value))) << t;
  }
}

// Six mini-batches, three by each of two processes, move a statistic as they would one after the other. What
// is no statistic stays as it is.
TEST_P(OptimizerOn, StatisticsOfTwoProcessesBecomeThoseOfOne) {
  constexpr int kSize = 20, kStatistic = 2;
  const NetSection net = net_of(1, 0, 0);
  Buffers first(GetParam(), kSize, net, 3), second(GetParam(), kSize, net, 0);
  const auto start = [](int i) { return 1 + 0.1f * float(i); };
  const auto moved = [](float value, int mini_batch) {
    return value + kStatisticMomentum * (float(mini_batch) - value);
  };
  for (Buffers* b : {&first, &second}) {
    b->put_all(b->p_.momentum, start);
    const int from = b == &first ? 0 : 3;
    b->put_all(b->p_.values, [&](int i) { return moved(moved(moved(start(i), from), from + 1), from + 2); });
    on(b->stream_, cpu::weigh_statistics, cuda::weigh_statistics)(b->stream_, b->p_);
  }
  std::vector<float> sum = first.get(first.p_.gradients, first.count_);
  const std::vector<float> other = second.get(second.p_.gradients, second.count_);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
  first.put(first.p_.gradients, sum);
  on(first.stream_, cpu::merge_statistics, cuda::merge_statistics)(first.stream_, first.p_);
  for (int i = 0; i < kSize; ++i) {
    float expected = start(i);
    for (int m = 0; m < 6; ++m) expected = moved(expected, m);
    EXPECT_NEAR(first.value(kStatistic, i), expected, 1e-6f);
    EXPECT_EQ(first.value(0, i), moved(moved(moved(start(i), 0), 1), 2));
  }
  for (const float g : first.get(first.p_.gradients, first.count_)) EXPECT_EQ(g, 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Both, OptimizerOn, testing::Values(Device::cpu, Device::cuda),
                         [](const auto& device) { return device.param == Device::cpu ? "cpu" : "cuda"; });

// The whole of it, as [net] says: the average stands in for the parameters, but not for the statistics.
TEST(OptimizerOfANetwork, AveragesAndExchanges) {
  NetSection net = net_of(1, 0, 0);
  net.ema_alpha = 0.5f;
  net.max_batches = 2004;  // an average from 1002 to 1004
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Stream stream{device};
    Parameters parameters;
    for (const Role role : {Role::weights, Role::statistic}) {
      ParameterSpan span{};
      span.shape = {1, 1, 1, 2};
      span.info = {"values", role};
      parameters.add(span);
    }
    parameters.allocate(true, stream);
    std::fill_n(parameters.values(), parameters.size(), 1.0f);
    parameters.upload();
    Optimizer optimizer(net, parameters, stream);
    EXPECT_FALSE(optimizer.has_average(1001));
    EXPECT_TRUE(optimizer.has_average(1002));
    DeviceBuffer step{"the step"};
    step.allocate(stream, sizeof(Step));
    Stream order = stream;
    for (int64_t t = 1002; t <= 1003; ++t) {
      reinterpret_cast<Step*>(step.host())->iteration = t;
      reinterpret_cast<Step*>(step.host())->learning_rate = 1;
      step.upload();
      const std::vector<float> gradients(parameters.size(), 2);
      cuda::copy(order, parameters.device_gradients(), gradients.data(), gradients.size() * sizeof(float));
      optimizer.clear_faults();
      optimizer.update(reinterpret_cast<const Step*>(step.device()));
      EXPECT_FALSE(optimizer.faults().any());
    }
    const auto values = [&](float weight) {
      parameters.download();
      EXPECT_EQ(parameters.value(parameters.spans()[0])[1], weight);
      EXPECT_EQ(parameters.value(parameters.spans()[1])[1], 1);
    };
    values(-3);
    optimizer.exchange_average();
    values(-2);  // the mean of -1 and -3
    optimizer.exchange_average();
    values(-3);
  }
}

// Both multiply and add in two roundings, so that the emulated kernels and the CPU agree to the last bit.
TEST(OptimizerParity, CpuAndKernelsAgreeToTheLastBit) {
  for (const Rule rule : {Rule::sgd, Rule::adam, Rule::adamw, Rule::rmsprop})
    for (const int size : {1, 15, 16, 17, 1000}) {
      NetSection net = net_of(3, 0.9f, 0.1f);
      net.optimizer = rule;
      net.nesterov = rule == Rule::sgd && size > 16;
      Buffers a(Device::cpu, size, net), b(Device::cuda, size, net);
      for (Buffers* x : {&a, &b})
        x->put_all(x->p_.values, [](int i) { return Random(1, Purpose::test, 0, uint64_t(i)).normal(); });
      for (int64_t t = 1; t <= 4; ++t)
        for (Buffers* x : {&a, &b}) {
          x->put_all(x->p_.gradients,
                     [t](int i) { return Random(2, Purpose::test, uint64_t(t), uint64_t(i)).normal(); });
          x->update(net, 0.01f, t, {0.9f, 2, 3});
        }
      const auto same = [&](auto* x, auto* y) {
        const auto left = a.get(x, a.count_), right = b.get(y, b.count_);
        return std::memcmp(left.data(), right.data(), left.size() * sizeof(left[0])) == 0;
      };
      EXPECT_TRUE(same(a.p_.values, b.p_.values)) << size;
      EXPECT_TRUE(same(a.p_.momentum, b.p_.momentum)) << size;
      EXPECT_TRUE(same(a.p_.squares, b.p_.squares)) << size;
      EXPECT_TRUE(same(a.p_.average, b.p_.average)) << size;
      EXPECT_TRUE(same(a.p_.copy, b.p_.copy)) << size;
      EXPECT_TRUE(same(a.p_.gradients, b.p_.gradients)) << size;
    }
}

}  // namespace
}  // namespace osprey
