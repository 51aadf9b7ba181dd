#include "train/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/report/svg.h"

namespace osprey {
namespace {

constexpr double kWidth = 900, kHeight = 480, kLeft = 70, kRight = 60, kTop = 50, kBottom = 45;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr const char* kLossColour = "#1f6fb4";
constexpr const char* kValidationColour = "#6aa84f";
constexpr const char* kScoreColour = "#d1495b";

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
  Chart(const std::vector<HistoryPoint>& history, int64_t max_batches, const std::string& score_name)
      : history_(history), score_name_(score_name) {
    last_ = std::max<int64_t>({max_batches, history.empty() ? 1 : history.back().iteration, 1});
    double low = 1e30, high = 1e-30;
    for (const HistoryPoint& h : history) {
      if (!(h.average_loss > 0)) continue;
      low = std::min<double>(low, h.average_loss);
      high = std::max<double>(high, h.average_loss);
      if (!(h.validation_loss > 0 && std::isfinite(h.validation_loss))) continue;
      low = std::min<double>(low, h.validation_loss);
      high = std::max<double>(high, h.validation_loss);
      has_validation_loss_ = true;
    }
    if (low > high) low = 0.1, high = 10;
    low_ = std::floor(std::log10(low) * 2) / 2;
    high_ = std::max(std::ceil(std::log10(high) * 2) / 2, low_ + 0.5);
  }

  std::string svg(const std::string& title) {
    svg_.text(kLeft, 24, "start", "#222", title, 16);
    axes();
    loss_curve();
    validation_loss_curve();
    score_curve();
    return svg_.finish();
  }

 private:
  double x(int64_t iteration) const { return kLeft + kPlotWidth * double(iteration) / double(last_); }
  double y_loss(double loss) const {
    const double t = (std::log10(std::max(loss, 1e-30)) - low_) / (high_ - low_);
    return kTop + kPlotHeight * (1 - std::clamp(t, 0.0, 1.0));
  }
  double y_score(double score) const { return kTop + kPlotHeight * (1 - score); }

  using Points = std::vector<std::pair<double, double>>;

  void axes() {
    const int64_t distance = mark_distance(last_);
    for (int64_t i = 0; i <= last_; i += distance) {
      svg_.line(x(i), kTop, x(i), kTop + kPlotHeight, "#eee");
      svg_.text(x(i), kTop + kPlotHeight + 18, "middle", "#444", std::to_string(i));
    }
    for (double e = low_; e <= high_ + 1e-9; e += 0.5) {
      const double loss = std::pow(10, e);
      svg_.line(kLeft, y_loss(loss), kLeft + kPlotWidth, y_loss(loss), "#eee");
      svg_.text(kLeft - 6, y_loss(loss) + 4, "end", kLossColour, fmt::format("{:.3g}", loss));
    }
    for (int percent = 0; percent <= 100; percent += 20)
      svg_.text(kLeft + kPlotWidth + 6, y_score(percent / 100.0) + 4, "start", kScoreColour,
                fmt::format("{}%", percent));
    svg_.text(kLeft + kPlotWidth / 2, kHeight - 8, "middle", "#444", "iteration");
    svg_.text(kLeft, 42, "start", kLossColour, "average loss");
    if (has_validation_loss_)
      svg_.text(kLeft + 90, 42, "start", kValidationColour, "loss on the validation list");
    svg_.text(kLeft + kPlotWidth, 42, "end", kScoreColour, score_name_ + " on the validation list");
  }

  void loss_curve() {
    const size_t every = std::max<size_t>(history_.size() / 1000, 1);
    Points points;
    for (size_t i = 0; i < history_.size(); ++i)
      if ((i % every == 0 || i + 1 == history_.size()) && history_[i].average_loss > 0)
        points.emplace_back(x(history_[i].iteration), y_loss(history_[i].average_loss));
    svg_.polyline(points, kLossColour);
    if (!history_.empty())
      svg_.text(x(history_.back().iteration) - 4, y_loss(history_.back().average_loss) - 8, "end",
                kLossColour, fmt::format("{:.3f}", history_.back().average_loss));
  }

  void validation_loss_curve() {
    Points points;
    for (const HistoryPoint& h : history_)
      if (h.validation_loss > 0 && std::isfinite(h.validation_loss))
        points.emplace_back(x(h.iteration), y_loss(h.validation_loss));
    if (!points.empty()) svg_.polyline(points, kValidationColour);
  }

  void score_curve() {
    Points points;
    for (const HistoryPoint& h : history_)
      if (h.score >= 0) points.emplace_back(x(h.iteration), y_score(h.score));
    if (points.empty()) return;
    svg_.polyline(points, kScoreColour);
    for (const HistoryPoint& h : history_)
      if (h.score >= 0)
        svg_.circle(x(h.iteration), y_score(h.score), 3, kScoreColour, fmt::format("{:.2f}%", 100 * h.score));
    for (size_t i = history_.size(); i-- > 0;)
      if (history_[i].score >= 0) {
        svg_.text(x(history_[i].iteration) - 4, y_score(history_[i].score) - 8, "end", kScoreColour,
                  fmt::format("{:.1f}%", 100 * history_[i].score));
        break;
      }
  }

  const std::vector<HistoryPoint>& history_;
  const std::string& score_name_;
  int64_t last_;
  bool has_validation_loss_ = false;
  double low_, high_;  // of the loss axis, as powers of ten
  Svg svg_{kWidth, kHeight};
};

}  // namespace

std::string chart_svg(const std::string& title, const std::vector<HistoryPoint>& history, int64_t max_batches,
                      const std::string& score_name) {
  return Chart(history, max_batches, score_name).svg(title);
}

}  // namespace osprey
