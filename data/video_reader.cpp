// Reading videos: packets from the file, frames from the packets, and of those the ones that are wanted as
// RGB, turned upright.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "data/ffmpeg.h"
#include "data/ffmpeg_calls.h"
#include "data/video.h"

namespace osprey {
namespace {

using ffmpeg::calls;
using ffmpeg::Handle;
using ffmpeg::held;
using ffmpeg::reason;

constexpr int kTold = 10;  // broken frames that are told one by one

const AVInputFormat* camera_format(const std::string& path) {
  const AVInputFormat* format = ffmpeg::camera_format(path);
  if (!format) fail("{}: this FFmpeg reads no cameras (it lacks Video4Linux2)", path);
  return format;
}

// Where a stored pixel (x, y) is shown: at (xx x + xy y, yx x + yy y), moved into the picture.
struct Turn {
  int xx = 1, xy = 0, yx = 0, yy = 1;

  bool swaps_sides() const { return xx == 0; }
  bool none() const { return xx == 1 && yy == 1; }
};

const int32_t* display_matrix(const AVStream& stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
  const AVPacketSideData* found = calls().av_packet_side_data_get(
      stream.codecpar->coded_side_data, stream.codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  return found && found->size >= 9 * sizeof(int32_t) ? reinterpret_cast<const int32_t*>(found->data)
                                                     : nullptr;
#else
  size_t size = 0;
  const uint8_t* found = calls().av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return found && size >= 9 * sizeof(int32_t) ? reinterpret_cast<const int32_t*>(found) : nullptr;
#endif
}

// By quarters, and mirrored; other angles are not applied.
Turn turn_of(const AVStream& stream) {
  const int32_t* matrix = display_matrix(stream);
  if (!matrix) return {};
  const auto whole = [](int32_t fixed) { return int(std::lround(fixed / 65536.)); };
  const Turn turn{whole(matrix[0]), whole(matrix[3]), whole(matrix[1]), whole(matrix[4])};
  const bool straight = std::abs(turn.xx) == 1 && std::abs(turn.yy) == 1 && !turn.xy && !turn.yx;
  const bool quarter = std::abs(turn.xy) == 1 && std::abs(turn.yx) == 1 && !turn.xx && !turn.yy;
  return straight || quarter ? turn : Turn{};
}

void copy_turned(const AVFrame& from, const Turn& turn, ByteImage& to) {
  const int c = to.channels;
  const int left = turn.xx < 0 || turn.xy < 0 ? to.width - 1 : 0;
  const int top = turn.yx < 0 || turn.yy < 0 ? to.height - 1 : 0;
  for (int y = 0; y < from.height; ++y) {
    const uint8_t* row = from.data[0] + ptrdiff_t(y) * from.linesize[0];
    if (turn.none()) {
      std::memcpy(to.pixels.data() + size_t(y) * to.width * c, row, size_t(to.width) * c);
      continue;
    }
    for (int x = 0; x < from.width; ++x) {
      const int shown_x = left + turn.xx * x + turn.xy * y, shown_y = top + turn.yx * x + turn.yy * y;
      std::copy_n(row + size_t(x) * c, c, to.pixels.data() + (size_t(shown_y) * to.width + shown_x) * c);
    }
  }
}

// To RGB or grey, with the colours that the frame says it has.
class Converter {
 public:
  Converter(int width, int height, int channels) : to_(held(calls().av_frame_alloc())) {
    to_->width = width;
    to_->height = height;
    to_->format = channels == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_RGB24;
    if (calls().av_frame_get_buffer(to_.get(), 0) < 0) throw std::bad_alloc();
  }

  // Null: the frame cannot be converted. A frame of another size is scaled.
  const AVFrame* convert(const AVFrame& frame) {
    const Source source{frame.width, frame.height, frame.format, frame.colorspace, frame.color_range};
    if (!scale_ || !(source == source_)) prepare(source);
    source_ = source;
    if (!scale_) return nullptr;
    const int rows = calls().sws_scale(scale_.get(), frame.data, frame.linesize, 0, frame.height, to_->data,
                                       to_->linesize);
    return rows == to_->height ? to_.get() : nullptr;
  }

 private:
  struct Source {
    int width, height, format, colours, range;
    bool operator==(const Source&) const = default;
  };

  void prepare(const Source& source) {
    constexpr int kFlags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
    scale_.reset(calls().sws_getContext(source.width, source.height, AVPixelFormat(source.format), to_->width,
                                        to_->height, AVPixelFormat(to_->format), kFlags, nullptr, nullptr,
                                        nullptr));
    if (!scale_) return;
    int *from = nullptr, *to = nullptr, from_range = 0, to_range = 0, brightness = 0, contrast = 0,
        saturation = 0;
    if (calls().sws_getColorspaceDetails(scale_.get(), &from, &from_range, &to, &to_range, &brightness,
                                         &contrast, &saturation) < 0)
      return;  // RGB in the video
    if (source.range != AVCOL_RANGE_UNSPECIFIED) from_range = source.range == AVCOL_RANGE_JPEG;
    calls().sws_setColorspaceDetails(scale_.get(), calls().sws_getCoefficients(source.colours), from_range,
                                     to, to_range, brightness, contrast, saturation);
  }

  Handle<AVFrame> to_;
  Handle<SwsContext> scale_;
  Source source_{};
};

class Reader final : public VideoReader {
 public:
  Reader(const std::string& path, const VideoOptions& options)
      : path_(path),
        options_(options),
        packet_(held(calls().av_packet_alloc())),
        frame_(held(calls().av_frame_alloc())) {
    if (options.channels != 1 && options.channels != 3)
      fail("{}: a video is read with 1 or 3 channels, not {}", path, options.channels);
    open_input();
    open_decoder();
    describe();
    converter_.emplace(stream_->codecpar->width, stream_->codecpar->height, options.channels);
  }

  const VideoInfo& info() const override { return info_; }
  int64_t broken() const override { return broken_; }
  bool cut_short() const override { return cut_short_; }

  std::optional<VideoFrame> next() override {
    while (decode()) {
      const bool wanted = index_ % (options_.skip + 1) == 0;
      const AVFrame* converted = wanted ? converter_->convert(*frame_) : nullptr;
      if (wanted && !converted) {
        tell_broken("its format cannot be converted to RGB");
        continue;
      }
      const int64_t index = index_++;
      const double seconds = time_of(index);
      if (!wanted) continue;
      VideoFrame frame{index, seconds, {info_.height, info_.width, options_.channels, {}}};
      frame.image.pixels.resize(size_t(info_.width) * size_t(info_.height) * size_t(options_.channels));
      copy_turned(*converted, turn_, frame.image);
      return frame;
    }
    if (index_ == broken_ && !stopped()) fail("{}: no frame of this video can be read", path_);
    return std::nullopt;
  }

 private:
  void open_input() {
    ffmpeg::keep_quiet();
    const AVInputFormat* format = is_camera(path_) ? camera_format(path_) : nullptr;
    AVFormatContext* input = calls().avformat_alloc_context();
    if (!input) throw std::bad_alloc();
    input->interrupt_callback = {[](void* self) { return int(static_cast<Reader*>(self)->stopped()); }, this};
    // Frees what it was given when it fails.
    if (const int error = calls().avformat_open_input(&input, path_.c_str(), format, nullptr); error < 0)
      fail("{}: not a video that can be read: {}", path_, reason(error));
    input_.reset(input);
    if (const int error = calls().avformat_find_stream_info(input, nullptr); error < 0)
      fail("{}: not a video that can be read: {}", path_, reason(error));
  }

  void open_decoder() {
    const AVCodec* codec = nullptr;
    const int index = calls().av_find_best_stream(input_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (index == AVERROR_STREAM_NOT_FOUND) fail("{}: there is no picture in this file", path_);
    if (index < 0) fail("{}: this FFmpeg has no decoder for the video", path_);
    for (unsigned i = 0; i < input_->nb_streams; ++i)
      if (int(i) != index) input_->streams[i]->discard = AVDISCARD_ALL;
    stream_ = input_->streams[index];
    info_.live =
        is_camera(path_) || (input_->duration == AV_NOPTS_VALUE && path_.find("://") != std::string::npos);
    decoder_ = held(calls().avcodec_alloc_context3(codec));
    calls().avcodec_parameters_to_context(decoder_.get(), stream_->codecpar);
    decoder_->pkt_timebase = stream_->time_base;
    decoder_->thread_count = 0;                               // as many as there are cores
    if (info_.live) decoder_->thread_type = FF_THREAD_SLICE;  // several frames at once would be late
    if (const int error = calls().avcodec_open2(decoder_.get(), codec, nullptr); error < 0)
      fail("{}: not a video that can be read: {}", path_, reason(error));
  }

  void describe() {
    const AVCodecParameters& stored = *stream_->codecpar;
    if (stored.width < 1 || stored.height < 1) fail("{}: no frame of this video can be read", path_);
    turn_ = turn_of(*stream_);
    info_.width = turn_.swaps_sides() ? stored.height : stored.width;
    info_.height = turn_.swaps_sides() ? stored.width : stored.height;
    const AVRational rate = calls().av_guess_frame_rate(input_.get(), stream_, nullptr);
    if (rate.num > 0 && rate.den > 0) info_.fps = av_q2d(rate);
    info_.frames = std::max<int64_t>(stream_->nb_frames, 0);
    if (info_.frames == 0 && input_->duration != AV_NOPTS_VALUE)
      info_.frames = std::llround(double(input_->duration) / AV_TIME_BASE * info_.fps);
  }

  bool stopped() const { return options_.stop && options_.stop(); }

  // The next whole frame into frame_; false at the end.
  bool decode() {
    while (!stopped()) {
      const int got = calls().avcodec_receive_frame(decoder_.get(), frame_.get());
      if (got == AVERROR_EOF) return false;
      if (got == AVERROR(EAGAIN))
        send_packet();
      else if (got < 0)
        tell_broken(reason(got));
      else if (frame_->decode_error_flags || (frame_->flags & AV_FRAME_FLAG_CORRUPT))
        tell_broken("parts of it are missing or damaged");
      else
        return true;
    }
    return false;
  }

  void send_packet() {
    const int got = calls().av_read_frame(input_.get(), packet_.get());
    if (got == AVERROR(EAGAIN) || stopped()) return;  // half a packet, perhaps
    if (got < 0) {
      // Matroska's end before its time is told in the log alone; elsewhere the last packet lacks bytes.
      const bool told = reason(got).find("ended prematurely") != std::string::npos;
      cut_short_ = told || last_lacks_bytes_ || got != AVERROR_EOF;
      calls().avcodec_send_packet(decoder_.get(), nullptr);  // what it holds back still comes
      return;
    }
    last_lacks_bytes_ = packet_->flags & AV_PKT_FLAG_CORRUPT;
    if (packet_->stream_index == stream_->index)
      if (const int error = calls().avcodec_send_packet(decoder_.get(), packet_.get()); error < 0)
        tell_broken(reason(error));
    calls().av_packet_unref(packet_.get());
  }

  void tell_broken(const std::string& why) {
    if (options_.strict) fail("{}: frame {} is broken: {}", path_, index_, why);
    if (broken_ < kTold) warn("{}: frame {} is broken and left out: {}", path_, index_, why);
    if (broken_ == kTold) warn("{}: further broken frames are only counted", path_);
    ++index_;
    ++broken_;
  }

  double time_of(int64_t index) {
    const int64_t stamp = frame_->best_effort_timestamp;
    if (stamp == AV_NOPTS_VALUE) return info_.fps > 0 ? double(index) / info_.fps : double(index) / 25;
    if (first_stamp_ == AV_NOPTS_VALUE)
      first_stamp_ = stream_->start_time == AV_NOPTS_VALUE ? stamp : stream_->start_time;
    return double(stamp - first_stamp_) * av_q2d(stream_->time_base);
  }

  std::string path_;
  VideoOptions options_;
  VideoInfo info_;
  Handle<AVFormatContext> input_;
  AVStream* stream_ = nullptr;  // of input_
  Handle<AVCodecContext> decoder_;
  Handle<AVPacket> packet_;
  Handle<AVFrame> frame_;
  std::optional<Converter> converter_;
  Turn turn_;
  int64_t index_ = 0, broken_ = 0, first_stamp_ = AV_NOPTS_VALUE;
  bool last_lacks_bytes_ = false, cut_short_ = false;
};

}  // namespace

std::unique_ptr<VideoReader> open_video(const std::string& path, const VideoOptions& options) {
  ffmpeg::load(path);
  return std::make_unique<Reader>(path, options);
}

}  // namespace osprey
