// The lexer of cfg files with Darknet's quirks, and the one place where keys are read and checked.
#include "core/cfg.h"

#include "tests/data/temporary.h"

namespace osprey {
namespace {

std::vector<Section> parse(const std::string& text) { return parse_cfg(text, "t.cfg"); }

TEST(Cfg, BlanksAreDroppedAndCommentsSkipped) {
  const auto sections = parse(
      "\xEF\xBB\xBF# first\r\n; second\n\n [ net ] \r\n  wid th = 6 4 # rest\n\tanchors = 1,2,  3,4 "
      ",\n[conv]\n");
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(sections[0].name, "net");
  EXPECT_EQ(sections[0].line, 4);
  ASSERT_NE(sections[0].find("width"), nullptr);
  EXPECT_EQ(sections[0].find("width")->value, "64");
  EXPECT_EQ(sections[0].line_of("width"), 5);
  EXPECT_EQ(sections[0].find("anchors")->value, "1,2,3,4,");
  EXPECT_EQ(sections[0].line_of("height"), 4);  // a key that is not given: the section's own line
  EXPECT_EQ(sections[1].name, "conv");
}

TEST(Cfg, TheFirstOfEqualKeysCountsAndEmptyOnesDoNot) {
  const auto sections = parse("[a]\nx=1\nx=2\ny=\n");
  EXPECT_EQ(sections[0].find("x")->value, "1");
  EXPECT_EQ(sections[0].find("y"), nullptr);
}

TEST(Cfg, WhatIsNoCfgIsSaidWithItsLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "t.cfg: no [section] in it"},
      {"# only words\n", "t.cfg: no [section] in it"},
      {"x=1\n[a]\n", "t.cfg:1: `x=1` stands before the first [section]"},
      {"[a]\nnonsense\n", "t.cfg:2: expected `[section]` or `key=value`, not `nonsense`"},
      {"[a]\n=5\n", "t.cfg:2: expected `[section]` or `key=value`, not `=5`"},
      {"[a\n", "t.cfg:1: expected `[section]`, not `[a`"},
      {"[]\n", "t.cfg:1: expected `[section]`, not `[]`"},
      {std::string("[a]\nx\0y=1\n", 10), "t.cfg: this is not text: not a .cfg file"},
  };
  for (const auto& [text, message] : cases) expect_in(message, error_of([&] { parse(text); }));
}

struct Read {
  int whole = 0;
  int64_t wide = 0;
  float real = 0;
  bool flag = false;
  std::string text;
  std::vector<int> integers;
  std::vector<float> reals;
  std::vector<std::string> texts;
  enum class Colour { red, blue } colour = Colour::red;
};
constexpr const char* kColours[] = {"red", "blue"};

void keys(Keys& k, Read& r) {
  k.integer("whole", r.whole, 3).at_least(1).help("h");
  k.integer("wide", r.wide, int64_t(1) << 40);
  k.real("real", r.real, 0.5f).between(0, 1);
  k.flag("flag", r.flag, true);
  k.text("text", r.text, "none");
  k.integers("integers", r.integers).at_least(0);
  k.reals("reals", r.reals);
  k.texts("texts", r.texts);
  k.choice("colour", r.colour, Read::Colour::blue, kColours);
  k.ignored("old", "it is old");
}

Read read(const std::string& text, bool lenient = false) {
  auto sections = parse("[s]\n" + text);
  Read r;
  Keys k(&sections[0], lenient);
  keys(k, r);
  k.finish();
  return r;
}

TEST(Keys, HaveDefaults) {
  const Read r = read("");
  EXPECT_EQ(r.whole, 3);
  EXPECT_EQ(r.wide, int64_t(1) << 40);
  EXPECT_EQ(r.real, 0.5f);
  EXPECT_TRUE(r.flag);
  EXPECT_EQ(r.text, "none");
  EXPECT_TRUE(r.integers.empty());
  EXPECT_EQ(r.colour, Read::Colour::blue);
}

TEST(Keys, AreReadAsWritten) {
  const Read r = read(
      "whole=+7.0\nwide=5000000000\nreal=.25\nflag=0\ntext=a/b\nintegers=1,2,\nreals=-1e-3,4\n"
      "texts=a,b\ncolour=red\nold=1\n");
  EXPECT_EQ(r.whole, 7);
  EXPECT_EQ(r.wide, 5000000000);
  EXPECT_EQ(r.real, 0.25f);
  EXPECT_FALSE(r.flag);
  EXPECT_EQ(r.text, "a/b");
  EXPECT_EQ(r.integers, (std::vector<int>{1, 2}));
  EXPECT_EQ(r.reals, (std::vector<float>{-0.001f, 4}));
  EXPECT_EQ(r.texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.colour, Read::Colour::red);
}

TEST(Keys, BadValuesAreSaidWithTheirLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"whole=1.5\n", "t.cfg:2: [s] whole must be a whole number, not 1.5"},
      {"whole=x\n", "t.cfg:2: [s] whole must be a whole number, not `x`"},
      {"whole=0\n", "t.cfg:2: [s] whole must be at least 1, not 0"},
      {"whole=3000000000\n", "t.cfg:2: [s] whole must be less than 2147483648"},
      {"wide=1e30\n", "t.cfg:2: [s] wide must be a whole number"},
      {"real=inf\n", "t.cfg:2: [s] real must be a number, not `inf`"},
      {"real=1e39\n", "t.cfg:2: [s] real must be a number, not `1e39`"},  // as a float it would be infinite
      {"real=2\n", "t.cfg:2: [s] real must be between 0 and 1, not 2"},
      {"real=1x\n", "t.cfg:2: [s] real must be a number, not `1x`"},
      {"flag=yes\n", "t.cfg:2: [s] flag must be 0 or 1, not `yes`"},
      {"integers=1,-2\n", "t.cfg:2: [s] integers must be at least 0"},
      {"integers=1,,2\n", "t.cfg:2: [s] integers must be whole numbers separated by commas"},
      {"reals=1,a\n", "t.cfg:2: [s] reals must be numbers separated by commas"},
      {"texts=a,,b\n", "t.cfg:2: [s] texts must be a list separated by commas"},
      {"colour=bleu\n", "t.cfg:2: [s] colour must be one of red, blue, not `bleu`, did you mean `blue`?"},
      {"whloe=1\n", "t.cfg:2: [s] unknown key `whloe`, did you mean `whole`?"},
      {"zzzzzzzzzz=1\n", "t.cfg:2: [s] unknown key `zzzzzzzzzz`"},
  };
  for (const auto& [text, message] : cases) expect_in(message, error_of([&, t = text] { read(t); }));
  EXPECT_EQ(read("zzzzzzzzzz=1\n", true).whole, 3);  // lenient: a warning
}

TEST(Keys, DocumentThemselvesWithoutASection) {
  Read r;
  Keys k(nullptr);
  keys(k, r);
  const auto& d = k.documentation();
  ASSERT_EQ(d.size(), 10u);
  EXPECT_EQ(d[0].key, "whole");
  EXPECT_EQ(d[0].otherwise, "3");
  EXPECT_EQ(d[0].bounds, ">= 1");
  EXPECT_EQ(d[0].help, "h");
  EXPECT_EQ(d[8].bounds, "red, blue");
  EXPECT_EQ(d[8].otherwise, "blue");
}

TEST(DidYouMean, NamesTheNearestOrNothing) {
  const std::vector<std::string> known = {"width", "height", "channels"};
  EXPECT_EQ(did_you_mean("widht", known), ", did you mean `width`?");
  EXPECT_EQ(did_you_mean("hight", known), ", did you mean `height`?");
  EXPECT_EQ(did_you_mean("saturation", known), "");
  EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace
}  // namespace osprey
