// [net]: what its keys mean, what they default to, and what is refused.
#include "models/net_section.h"

#include "tests/data/temporary.h"

namespace osprey {
namespace {

NetSection read(const std::string& keys, bool lenient = false) {
  std::vector<Section> sections = parse_cfg("[net]\nwidth=64\nheight=32\n" + keys, "t.cfg");
  return read_net_section(sections[0], lenient);
}

TEST(NetSection, DefaultsAreDarknets) {
  const NetSection net = read("");
  EXPECT_EQ(net.batch, 1);
  EXPECT_EQ(net.subdivisions, 1);
  EXPECT_EQ(net.channels, 3);
  EXPECT_FLOAT_EQ(net.learning_rate, 0.001f);
  EXPECT_FLOAT_EQ(net.momentum, 0.9f);
  EXPECT_FLOAT_EQ(net.decay, 0.0001f);
  EXPECT_EQ(net.policy, Policy::constant);
  EXPECT_FLOAT_EQ(net.power, 4);
  EXPECT_FLOAT_EQ(net.saturation, 1);
  EXPECT_TRUE(net.flip);
  EXPECT_FALSE(net.letter_box);
  EXPECT_EQ(net.resize_step, 32);
  EXPECT_TRUE(net.training_faults.empty());
}

TEST(NetSection, BatchIsThatOfAnUpdateAndSubdivisionsItsParts) {
  const NetSection net = read("batch=64\nsubdivisions=16\n");
  EXPECT_EQ(net.batch, 64);
  EXPECT_EQ(net.mini_batch(), 4);
}

TEST(NetSection, SgdrCyclesAreTheWholeTrainingIfNotSaid) {
  EXPECT_EQ(read("max_batches=500\npolicy=sgdr\n").sgdr_cycle, 500);
  EXPECT_EQ(read("max_batches=500\npolicy=sgdr\nsgdr_cycle=20\n").sgdr_cycle, 20);
}

TEST(NetSection, OptimizersHaveTheirNamesAndDarknetsWord) {
  EXPECT_EQ(read("").optimizer, Rule::sgd);
  EXPECT_EQ(read("adam=1\n").optimizer, Rule::adam);
  EXPECT_EQ(read("optimizer=adam\nadam=1\n").optimizer, Rule::adam);
  EXPECT_EQ(read("optimizer=adamw\nadam=0\n").optimizer, Rule::adamw);
  EXPECT_EQ(read("optimizer=rmsprop\n").optimizer, Rule::rmsprop);
  EXPECT_FALSE(read("").nesterov);
  EXPECT_TRUE(read("nesterov=1\n").nesterov);
}

TEST(NetSection, ImagesAreNormalisedWhereMeanOrDeviationIsGiven) {
  EXPECT_FALSE(read("").normalisation.on);
  const Normalisation both = read("mean=.5,.25,0\ndeviation=.5,2,1\n").normalisation;
  EXPECT_TRUE(both.on);
  EXPECT_EQ(both(1, 0), 1);
  EXPECT_EQ(both(.75f, 1), .25f);
  EXPECT_EQ(both(.75f, 2), .75f);
  EXPECT_EQ(read("channels=1\nmean=.5\n").normalisation(.75f, 0), .25f);
  EXPECT_EQ(read("deviation=.5,.5,.5\n").normalisation(.75f, 2), 1.5f);
}

// YOLOv2's files have steps=-1,100,...: scaled from the start.
TEST(NetSection, StepsMayLieBeforeTheStart) {
  EXPECT_EQ(read("policy=steps\nsteps=-1,100\nscales=.1,10\n").steps, (std::vector<int>{-1, 100}));
}

// Darknet reads them for this policy alone.
TEST(NetSection, StepsWithoutScalesDoNotMatterToOtherPolicies) {
  EXPECT_EQ(read("policy=poly\nsteps=10,20\nscales=.1\n").policy, Policy::poly);
  EXPECT_EQ(read("policy=sgdr\nsteps=10,20\n").policy, Policy::sgdr);
}

TEST(NetSection, WhatTrainingCannotHonourIsCollectedForIt) {
  const auto faults = [](const std::string& keys) {
    std::string told;
    for (const TrainingFault& fault : read(keys).training_faults) told += fault.key + ": " + fault.why + "\n";
    return told;
  };
  EXPECT_EQ(faults("track=1\nunsupervised=0\ntime_steps=1\ndynamic_minibatch=1\n"),
            "dynamic_minibatch: dynamic_minibatch is not supported in training yet: remove it\n"
            "track: track is not supported in training yet: remove it\n");
  // What detects with batch=1 may still say how it was trained.
  EXPECT_EQ(faults("batch=1\nsubdivisions=16\n"), "subdivisions: subdivisions=16 must divide batch=1\n");
  EXPECT_EQ(faults("batch=4\nsubdivisions=3\n"), "subdivisions: subdivisions=3 must divide batch=4\n");
  EXPECT_EQ(read("batch=1\nsubdivisions=16\n").mini_batch(), 1);
}

TEST(NetSection, DarknetsExperimentalKeysAreAcceptedWithoutEffect) {
  const NetSection net = read(
      "weights_reject_freq=100\nequidistant_point=1000\nbadlabels_rejection_percentage=0.2\n"
      "num_sigmas_reject_badlabels=3\nadversarial_lr=1\nattention=1\ncontrastive_jit_flip=1\n"
      "contrastive_color=1\n");
  EXPECT_TRUE(net.training_faults.empty());
}

TEST(NetSection, WhatMakesNoSenseIsRefusedAtItsLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"batch=0\n", "t.cfg:4: [net] batch must be at least 1, not 0"},
      {"batch=two\n", "t.cfg:4: [net] batch must be a whole number, not `two`"},
      {"learning_rate=-1\n", "t.cfg:4: [net] learning_rate must be at least 0, not -1"},
      {"learning_rate=nan\n", "t.cfg:4: [net] learning_rate must be a number, not `nan`"},
      {"B2=1\n", "t.cfg:4: [net] B2 must be between 0 and 0.99999, not 1"},
      {"eps=0\n", "t.cfg:4: [net] eps must be more than 0, not 0"},
      {"momentum=1.5\n", "t.cfg:4: [net] momentum must be between 0 and 1, not 1.5"},
      {"optimizer=adams\n", "t.cfg:4: [net] optimizer must be one of sgd, adam, adamw, rmsprop"},
      {"adam=1\noptimizer=sgd\n", "t.cfg:5: [net] optimizer=sgd contradicts adam=1"},
      {"optimizer=adamw\nadam=1\n", "t.cfg:4: [net] optimizer=adamw contradicts adam=1"},
      {"nesterov=1\nadam=1\n", "t.cfg:4: [net] nesterov=1 is for optimizer=sgd, not adam"},
      {"momentum=0\nnesterov=1\n", "t.cfg:5: [net] nesterov=1 needs a momentum, but momentum=0"},
      {"optimizer=rmsprop\nalpha=1\n", "t.cfg:5: [net] alpha must be between 0 and 0.99999, not 1"},
      {"policy=stepz\n", "t.cfg:4: [net] policy must be one of constant, step, steps"},
      {"policy=steps\n", "t.cfg:4: [net] policy=steps needs the keys `steps` and `scales`"},
      {"policy=steps\nsteps=10,20\nscales=.1\n", "t.cfg:6: [net] 2 steps need as many scales, not 1"},
      {"hue=2\n", "t.cfg:4: [net] hue must be between 0 and 1, not 2"},
      {"saturation=0\n", "t.cfg:4: [net] saturation must be more than 0, not 0"},
      {"lerning_rate=1\n", "t.cfg:4: [net] unknown key `lerning_rate`, did you mean `learning_rate`?"},
      {"mean=.5\n", "t.cfg:4: [net] mean must list 3 numbers, one for each channel (of at most 4), not 1"},
      {"channels=8\ndeviation=1,1,1,1,1,1,1,1\n", "t.cfg:5: [net] deviation must list 8 numbers"},
      {"deviation=1,0,1\n", "t.cfg:4: [net] deviation must be more than 0, not `1,0,1`"},
      {"clip_norm=-1\n", "t.cfg:4: [net] clip_norm must be at least 0, not -1"},
      {"channels=0\n", "t.cfg:4: [net] channels must be between 1 and 65536, not 0"},
      {"max_batches=99999999999999999999\n", "t.cfg:4: [net] max_batches must be a whole number"},
  };
  for (const auto& [keys, message] : cases) expect_in(message, error_of([&] { read(keys); }));
}

}  // namespace
}  // namespace osprey
