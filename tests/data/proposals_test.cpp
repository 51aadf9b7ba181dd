// Files of proposals, and what the loader makes of them: proposals stay where their pixels are.
#include "data/proposals.h"

#include <array>

#include "data/loader.h"
#include "data/render.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

void expect_box(const ProposedBox& got, CentreBox want, float score) {
  EXPECT_NEAR(got.box.x, want.x, 1e-6f);
  EXPECT_NEAR(got.box.y, want.y, 1e-6f);
  EXPECT_NEAR(got.box.w, want.w, 1e-6f);
  EXPECT_NEAR(got.box.h, want.h, 1e-6f);
  EXPECT_EQ(got.score, score);
}

TEST(Proposals, AreReadWithOrWithoutScoresAndCutAtTheImagesEdge) {
  const Temporary folder;
  const auto read = read_proposals(folder.write("a.txt",
                                                "0.5 0.5 0.25 0.5 0.75\r\n"
                                                "\n"
                                                "0.1\t0.2 0.1 0.1\n"
                                                "0.9 0.5 0.4 0.2 -3\n"     // hangs over the right edge
                                                "1.5 0.5 0.5 0.5 0.9\n"    // outside
                                                "0.5 0.5 0 0.5 0.9\n"      // without area
                                                "0.5 0.5 -0.1 0.5 0.9\n"   // turned inside out
                                                "0.5 0.25 0.5 1 0.1\n"));  // over the upper edge
  ASSERT_EQ(read.size(), 4u);
  expect_box(read[0], {.5f, .5f, .25f, .5f}, .75f);
  expect_box(read[1], {.1f, .2f, .1f, .1f}, 1);
  expect_box(read[2], {.85f, .5f, .3f, .2f}, -3);
  expect_box(read[3], {.5f, .375f, .5f, .75f}, .1f);
  EXPECT_TRUE(read_proposals(folder.write("none.txt", "")).empty());
}

TEST(Proposals, AreReadAsTheyWereWritten) {
  const Temporary folder;
  const std::vector<ProposedBox> proposals = {{{.123456f, .5f, .2f, .3f}, .9f},
                                              {{.5f, .4f, .1f, .6f}, .125f}};
  write_proposals(folder / "a.txt", proposals);
  const auto read = read_proposals(folder / "a.txt");
  ASSERT_EQ(read.size(), 2u);
  for (size_t i = 0; i < 2; ++i) expect_box(read[i], proposals[i].box, proposals[i].score);
}

TEST(Proposals, WhatIsWrongIsToldWithItsLine) {
  const Temporary folder;
  const auto message = [&](const std::string& text) {
    return error_of([&] { read_proposals(folder.write("a.txt", "0.5 0.5 0.1 0.1\n" + text)); });
  };
  const std::string at = folder / "a.txt:2: ";
  expect_in(at + "expected `x y w h` or `x y w h score`, found 3 fields", message("0.5 0.5 0.1\n"));
  expect_in(at + "expected `x y w h` or `x y w h score`, found 6 fields", message("0 0.5 0.5 0.1 0.1 1\n"));
  expect_in(at + "expected `x y w h` or `x y w h score`, but `left` is not a number",
            message("left 0.5 0.1 0.1\n"));
  expect_in("but `nan` is not a number", message("0.5 0.5 0.1 0.1 nan\n"));
  expect_in(at + "expected `x y w h` in units of the image, 0..1, found 120 80 31 40",
            message("120 80 31 40\n"));
  expect_in("cannot be opened", error_of([&] { read_proposals(folder / "missing.txt"); }));
}

// A set of images that are not opened, and its .data file.
struct Listed {
  Temporary folder;
  Dataset set;
  DataFile data;
  Listed(const std::vector<std::string>& images) {
    data.path = folder / "t.data";
    for (const std::string& image : images) {
      Sample sample;
      sample.image = folder / image;
      set.samples.push_back(sample);
    }
  }
  std::string refusal() {
    return error_of([&] { find_proposals(set, data); });
  }
};

TEST(Proposals, AreFoundByTheNameOfTheImage) {
  Listed listed({"images/one.jpg", "images/two.b.png", "images/one.jpg"});
  listed.data.proposals = "boxes";
  listed.folder.write("boxes/one.txt", "");
  const std::string two = listed.folder.write("boxes/two.b.txt", "");
  find_proposals(listed.set, listed.data);
  EXPECT_EQ(listed.set.samples[1].proposals, two);
  EXPECT_EQ(listed.set.samples[0].proposals, listed.set.samples[2].proposals);
}

TEST(Proposals, ThatAreMissingOrNotUniqueAreToldAtOnce) {
  Listed listed({"a/one.jpg", "b/one.png"});
  expect_in("t.data: the network has [proposals], but `proposals = FOLDER` is missing", listed.refusal());
  listed.data.proposals = "boxes";
  expect_in("proposals = boxes: there is no such file or folder", listed.refusal());
  listed.folder.write("boxes/one.txt", "");
  expect_in("would both be here", listed.refusal());
  listed.set.samples[1].image = listed.folder / "b/two.png";
  expect_in("boxes/two.txt: this file of proposals is missing, of " + listed.set.samples[1].image,
            listed.refusal());
}

TEST(Proposals, OfTheDataFileAreAFolder) {
  const Temporary folder;
  EXPECT_EQ(read_data_file(folder.write("t.data", "proposals = my boxes\n")).proposals, "my boxes");
}

TEST(Proposals, BeyondTheCapacityAreLeftOutWithAMessage) {
  const std::vector<ProposedBox> proposals = {{{.1f, .2f, .3f, .4f}, .9f}, {{.5f, .5f, .1f, .1f}, .8f}};
  std::vector<float> rows(15, -1);
  EXPECT_EQ(write_proposal_rows(proposals, 3, rows.data()), 2);
  EXPECT_EQ(rows, (std::vector<float>{.1f, .2f, .3f, .4f, .9f, .5f, .5f, .1f, .1f, .8f, -1, -1, -1, -1, -1}));
  rows.assign(10, -1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(write_proposal_rows(proposals, 1, rows.data()), 1);
  EXPECT_EQ(write_proposal_rows(proposals, 1, rows.data()), 1);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_EQ(rows[4], .9f);
  EXPECT_EQ(rows[5], -1);
  expect_in("raise num=1 in [proposals]", told);
  EXPECT_EQ(told.find("raise"), told.rfind("raise")) << "told twice";
}

constexpr int kSide = 96;

// Black, with a white rectangle and the proposal that surrounds it.
struct Scene {
  Image image;
  std::vector<ProposedBox> proposals;
};
Scene scene(int width, int height, Box box, float score = 1) {
  Scene s{Image(width, height, 3), {}};
  for (int y = int(box.y1); y < int(box.y2); ++y)
    for (int x = int(box.x1); x < int(box.x2); ++x)
      for (int c = 0; c < 3; ++c) s.image.at(y, x, c) = 1;
  s.proposals = {{centre(scaled(box, 1.f / float(width), 1.f / float(height))), score}};
  return s;
}

// Of the white pixels in a window of the network input; grey margins are darker.
Box white_bounds(const std::vector<float>& pixels, Box window) {
  Box bounds = {kSide, kSide, 0, 0};
  for (int y = int(window.y1); y < int(window.y2); ++y)
    for (int x = int(window.x1); x < int(window.x2); ++x) {
      if (pixels[size_t(y * kSide + x) * 3] < .75f) continue;
      bounds = {std::min(bounds.x1, float(x)), std::min(bounds.y1, float(y)),
                std::max(bounds.x2, float(x + 1)), std::max(bounds.y2, float(y + 1))};
    }
  return bounds;
}

// Resizing keeps corner pixels in corners, so that what is within is moved by up to a pixel of both grids;
// zoomed in twice, that and the blurred edge are below three.
void expect_around(CentreBox proposal, Box white) {
  const Box got = scaled(corners(proposal), kSide, kSide);
  EXPECT_NEAR(got.x1, white.x1, 3);
  EXPECT_NEAR(got.y1, white.y1, 3);
  EXPECT_NEAR(got.x2, white.x2, 3);
  EXPECT_NEAR(got.y2, white.y2, 3);
}

AugmentOptions moving(bool letter_box) {
  AugmentOptions o;
  o.width = o.height = kSide;
  o.jitter = .15f;
  o.resize = 1.2f;
  o.flip = true;
  o.letter_box = letter_box;
  return o;
}

TEST(Proposals, FollowTheirPixelsThroughCropsMirroringAndMargins) {
  const Scene s = scene(120, 80, {80, 20, 112, 40});
  for (const bool letter_box : {false, true}) {
    const AugmentOptions o = moving(letter_box);
    int kept = 0, cut = 0;
    for (int i = 0; i < 40; ++i) {
      SCOPED_TRACE(i);
      Random random(3, Purpose::test, uint64_t(i));
      const Described sample = describe({120, 80, {}, s.proposals}, o, random);
      std::vector<float> pixels(size_t(kSide * kSide * 3));
      render(sample.plan, std::span(&s.image, 1), kSide, kSide, pixels.data());
      const Box white = white_bounds(pixels, {0, 0, kSide, kSide});
      if (sample.proposals.empty()) {
        EXPECT_LE(white.x2 - white.x1, 2) << "white pixels, and no proposal";
        continue;
      }
      expect_around(sample.proposals[0].box, white);
      ++kept;
      cut += white.x1 == 0 || white.x2 == kSide || white.y1 == 0;
    }
    EXPECT_GT(kept, 30);
    EXPECT_GT(cut, letter_box ? 0 : 1);
  }
}

// Each quarter has its own image's; all that is white in a quarter belongs to it.
TEST(Proposals, FollowTheirPixelsIntoAMosaic) {
  std::array<Scene, 4> scenes;
  for (size_t k = 0; k < 4; ++k) scenes[k] = scene(100, 100, {30, 25, 75, 80}, float(k));
  AugmentOptions o = moving(false);
  o.mosaic = true;
  int kept = 0;
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    std::array<Labelled, 4> labelled;
    std::array<Image, 4> images;
    for (size_t k = 0; k < 4; ++k)
      labelled[k] = {100, 100, {}, scenes[k].proposals}, images[k] = scenes[k].image;
    Random random(4, Purpose::test, uint64_t(i));
    const Described sample = describe_mosaic(labelled, o, random);
    std::vector<float> pixels(size_t(kSide * kSide * 3));
    render(sample.plan, images, kSide, kSide, pixels.data());
    for (const auto& [box, score] : sample.proposals) {
      const ImageWindow quarter = sample.plan.part[int(score)].shown;
      const Box window = {float(quarter.left), float(quarter.top), float(quarter.left + quarter.width),
                          float(quarter.top + quarter.height)};
      const Box white = white_bounds(pixels, window);
      if (white.x2 - white.x1 < 6 || white.y2 - white.y1 < 6) continue;  // what is left of it is all edge
      expect_around(box, white);
      ++kept;
    }
  }
  EXPECT_GT(kept, 40);
}

TEST(Proposals, OfAMosaicComeTheBestOfEachImageFirst) {
  std::array<std::vector<ProposedBox>, 4> proposals;
  std::array<Labelled, 4> labelled;
  for (size_t k = 0; k < 4; ++k) {
    for (size_t rank = 0; rank < (k == 1 ? 1u : 2u); ++rank)
      proposals[k].push_back({{.5f, .5f, 1, 1}, float(10 * rank + k)});
    labelled[k] = {50, 50, {}, proposals[k]};
  }
  AugmentOptions o;
  o.width = o.height = 50;
  Random random(5, Purpose::test);
  const Described sample = describe_mosaic(labelled, o, random);
  std::vector<float> scores;
  float covered = 0;
  for (const auto& [box, score] : sample.proposals) {
    scores.push_back(score);
    if (score < 10) covered += box.w * box.h;
  }
  EXPECT_EQ(scores, (std::vector<float>{0, 1, 2, 3, 10, 12, 13}));
  EXPECT_NEAR(covered, 1, 1e-5f) << "whole images become their quarters";
}

// Three flat images, of which the last has no proposals.
Dataset small_set(const Temporary& folder) {
  Dataset set;
  for (int i = 0; i < 3; ++i) {
    Sample sample;
    sample.image = folder / fmt::format("{}.png", i);
    save_image(sample.image, Image(24, 20, 3, .5f));
    sample.proposals =
        folder.write(fmt::format("{}.txt", i), i == 2 ? "" : "0.5 0.5 0.5 0.5 0.25\n0.5 0.25 0.25 0.25\n");
    set.samples.push_back(sample);
  }
  return set;
}

TEST(Proposals, OfBatchesAreThoseOfTheirImages) {
  const Temporary folder;
  const Dataset set = small_set(folder);
  LoaderOptions o;
  o.batch = 3;
  o.width = o.height = 32;
  o.max_proposals = 4;
  o.shuffle = false;
  for (const int threads : {1, 3}) {
    o.threads = threads;
    Loader loader(set, o);
    const Batch& batch = loader.next();
    EXPECT_EQ(batch.proposal_counts, (std::vector<int>{2, 2, 0}));
    std::vector<float> want(60, 0);
    for (size_t i = 0; i < 2; ++i) {
      const float rows[] = {.5f, .5f, .5f, .5f, .25f, .5f, .25f, .25f, .25f, 1};
      std::copy(rows, rows + 10, want.begin() + long(i) * 20);
    }
    EXPECT_EQ(batch.proposals, want);
  }
  o.max_proposals = 0;  // then the files are not read
  folder.write("0.txt", "nonsense");
  Loader without(set, o);
  EXPECT_TRUE(without.next().proposals.empty());
  o.max_proposals = 4;
  Loader broken(set, o);
  expect_in("0.txt:1: expected `x y w h`", error_of([&] { broken.next(); }));
}

}  // namespace
}  // namespace osprey
