#include "train/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace osprey {
namespace {

constexpr double kWidth = 900, kHeight = 480, kLeft = 70, kRight = 60, kTop = 50, kBottom = 45;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr const char* kLossColour = "#1f6fb4";
constexpr const char* kMapColour = "#d1495b";

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

// A round number of iterations for about eight marks.
int64_t mark_distance(int64_t total) {
  int64_t distance = 1;
  for (int64_t decade = 1;; decade *= 10)
    for (int64_t step : {1, 2, 5}) {
      distance = step * decade;
      if (total / distance <= 8) return distance;
    }
}

class Chart {
 public:
  Chart(const std::vector<HistoryPoint>& history, int64_t max_batches) : history_(history) {
    last_ = std::max<int64_t>({max_batches, history.empty() ? 1 : history.back().iteration, 1});
    double low = 1e30, high = 1e-30;
    for (const HistoryPoint& h : history) {
      if (!(h.average_loss > 0)) continue;
      low = std::min<double>(low, h.average_loss);
      high = std::max<double>(high, h.average_loss);
    }
    if (low > high) low = 0.1, high = 10;
    low_ = std::floor(std::log10(low) * 2) / 2;
    high_ = std::max(std::ceil(std::log10(high) * 2) / 2, low_ + 0.5);
  }

  std::string svg(const std::string& title) {
    out_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
        "fill=\"white\"/>\n",
        kWidth, kHeight);
    text(kLeft, 24, "start", "#222", title, 16);
    axes();
    loss_curve();
    map_curve();
    return out_ + "</svg>\n";
  }

 private:
  double x(int64_t iteration) const { return kLeft + kPlotWidth * double(iteration) / double(last_); }
  double y_loss(double loss) const {
    const double t = (std::log10(std::max(loss, 1e-30)) - low_) / (high_ - low_);
    return kTop + kPlotHeight * (1 - std::clamp(t, 0.0, 1.0));
  }
  double y_map(double map) const { return kTop + kPlotHeight * (1 - map); }

  void line(double x1, double y1, double x2, double y2, const char* colour) {
    out_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1,
                        y1, x2, y2, colour);
  }
  void text(double x, double y, const char* anchor, const char* colour, const std::string& words,
            int size = 12) {
    out_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\" font-size=\"{}\">{}</text>\n", x, y,
        anchor, colour, size, escaped(words));
  }
  void polyline(const std::string& points, const char* colour) {
    out_ += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>\n", colour,
                        points);
  }

  void axes() {
    const int64_t distance = mark_distance(last_);
    for (int64_t i = 0; i <= last_; i += distance) {
      line(x(i), kTop, x(i), kTop + kPlotHeight, "#eee");
      text(x(i), kTop + kPlotHeight + 18, "middle", "#444", std::to_string(i));
    }
    for (double e = low_; e <= high_ + 1e-9; e += 0.5) {
      const double loss = std::pow(10, e);
      line(kLeft, y_loss(loss), kLeft + kPlotWidth, y_loss(loss), "#eee");
      text(kLeft - 6, y_loss(loss) + 4, "end", kLossColour, fmt::format("{:.3g}", loss));
    }
    for (int percent = 0; percent <= 100; percent += 20)
      text(kLeft + kPlotWidth + 6, y_map(percent / 100.0) + 4, "start", kMapColour,
           fmt::format("{}%", percent));
    text(kLeft + kPlotWidth / 2, kHeight - 8, "middle", "#444", "iteration");
    text(kLeft, 42, "start", kLossColour, "average loss");
    text(kLeft + kPlotWidth, 42, "end", kMapColour, "mAP@0.5 on the validation list");
  }

  void loss_curve() {
    const size_t every = std::max<size_t>(history_.size() / 1000, 1);
    std::string points;
    for (size_t i = 0; i < history_.size(); ++i)
      if ((i % every == 0 || i + 1 == history_.size()) && history_[i].average_loss > 0)
        points += fmt::format("{:.1f},{:.1f} ", x(history_[i].iteration), y_loss(history_[i].average_loss));
    polyline(points, kLossColour);
    if (!history_.empty())
      text(x(history_.back().iteration) - 4, y_loss(history_.back().average_loss) - 8, "end", kLossColour,
           fmt::format("{:.3f}", history_.back().average_loss));
  }

  void map_curve() {
    std::string points, dots;
    for (const HistoryPoint& h : history_) {
      if (h.map < 0) continue;
      points += fmt::format("{:.1f},{:.1f} ", x(h.iteration), y_map(h.map));
      dots += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"><title>{:.2f}%</title></circle>\n",
          x(h.iteration), y_map(h.map), kMapColour, 100 * h.map);
    }
    if (points.empty()) return;
    polyline(points, kMapColour);
    out_ += dots;
    for (size_t i = history_.size(); i-- > 0;)
      if (history_[i].map >= 0) {
        text(x(history_[i].iteration) - 4, y_map(history_[i].map) - 8, "end", kMapColour,
             fmt::format("{:.1f}%", 100 * history_[i].map));
        break;
      }
  }

  const std::vector<HistoryPoint>& history_;
  int64_t last_;
  double low_, high_;  // of the loss axis, as powers of ten
  std::string out_;
};

}  // namespace

std::string chart_svg(const std::string& title, const std::vector<HistoryPoint>& history,
                      int64_t max_batches) {
  return Chart(history, max_batches).svg(title);
}

}  // namespace osprey
