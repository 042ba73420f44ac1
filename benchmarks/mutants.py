"""Do the tests notice? A mutant is the package with one small thing wrong; a test of it must fail.

python -m benchmarks.mutants [N ...]   tries those mutants, or all: `killed` or `SURVIVED` of each
python -m benchmarks.mutants --table   prints the list as a table

The package is copied into a temporary directory, one text in it is replaced, and the test named
beside it runs there. Before that, all these tests must pass in a copy as it is. It forks, so that
what takes long to import is imported once: Linux and macOS only.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parents[1]
COPIED = (
    *("dqn_cli", "conf", "tests", "benchmarks", "docs", "outputs/reference"),
    "pyproject.toml",
)
SLOW = (  # to import
    *("torch", "gymnasium", "hydra", "pandas", "matplotlib.pyplot", "pydantic", "rich.progress"),
    *("hypothesis", "pytest", "threadpoolctl", "filelock"),
)
LIMIT = 120.0  # seconds; what takes longer counts as neither killed nor survived
PASSED, FAILED, BROKEN = 0, 1, 70  # how pytest ends, or does not begin


class Mutant(NamedTuple):
    file: str  # within dqn_cli/
    original: str  # comes once in the file
    mutated: str
    test: str  # within tests/


MUTANTS = [
    Mutant(
        "training/loop.py",
        "or self.episode[lane] - 1 == self.limits[0]",
        "or self.episode[lane] == self.limits[0]",
        "training/test_lanes.py::test_a_seed_that_is_done_leaves_and_the_others_go_on",
    ),
    Mutant(
        "training/loop.py",
        "self.exploring.keep(chosen)",
        "pass",
        "training/test_lanes.py::test_a_lane_in_company_is_the_same_seed_alone",
    ),
    Mutant(
        "training/loop.py",
        "self.learner.keep(chosen)",
        "self.learner.keep(list(range(len(chosen))))",
        "training/test_lanes.py::test_a_lane_in_company_is_the_same_seed_alone",
    ),
    Mutant(
        "training/loop.py",
        "self.returns = self.returns[chosen]",
        "self.returns = self.returns[: len(chosen)]",
        "training/test_lanes.py::test_a_lane_in_company_is_the_same_seed_alone",
    ),
    Mutant(
        "training/loop.py",
        "episodes = int(self.episode[lane]) - 1",
        "episodes = int(self.episode[lane])",
        "training/test_lanes.py::test_evaluating_by_steps_scores_the_network_of_that_very_step",
    ),
    Mutant(
        "training/loop.py",
        "due = every is not None and self.step % every == 0",
        "due = every is not None and (self.step - 1) % every == 0",
        "training/test_lanes.py::test_evaluating_by_steps_scores_the_network_of_that_very_step",
    ),
    Mutant(
        "training/loop.py",
        "extra=not due",
        "extra=False",
        "training/test_lanes.py::test_the_end_is_always_scored",
    ),
    Mutant(
        "training/loop.py",
        " and not scored",
        "",
        "training/test_lanes.py::test_the_end_is_always_scored",
    ),
    Mutant(
        "training/loop.py",
        "event.episode % every == 0",
        "(event.episode - 1) % every == 0",
        "training/test_lanes.py::test_the_end_is_always_scored",
    ),
    Mutant(
        "training/loop.py",
        "due = finite and every is not None and",
        "due = every is not None and",
        "training/test_diverged.py::test_a_seed_that_diverges_stops_and_the_others_go_on_unchanged",
    ),
    Mutant(
        "training/loop.py",
        "if (due or end) and lane not in diverged:",
        "if due or end:",
        "training/test_diverged.py::test_a_seed_that_diverges_at_its_end_is_neither_scored_nor_finished",
    ),
    Mutant(
        "training/loop.py",
        "sorted(set(done) - set(diverged))",
        "sorted(set(done))",
        "training/test_diverged.py::test_a_seed_that_diverges_at_its_end_is_neither_scored_nor_finished",
    ),
    Mutant(
        "training/loop.py",
        "diverged += [i for i, finite in enumerate(self.learner.finite()) if not finite]",
        "pass",
        "training/test_diverged.py::test_an_open_episode_that_diverges_ends_at_the_next_tick",
    ),
    Mutant(
        "training/loop.py",
        "exploration.epsilon(self.step - 1, self.episode)",
        "exploration.epsilon(self.step, self.episode)",
        "training/test_lanes.py::test_epsilon_is_that_of_the_last_action_s_step_and_of_the_lane_s_own_episode",
    ),
    Mutant(
        "training/loop.py",
        "if self.scorer.disturbed:",
        "if False:",
        "training/test_evaluation.py::test_a_shared_environment_changes_no_byte",
    ),
    Mutant(
        "training/loop.py",
        "self.returns[lane] = self.lengths[lane] = 0",
        "self.lengths[lane] = 0",
        "test_golden.py::test_the_scores_of_a_small_run",
    ),
    Mutant(
        "training/loop.py",
        "over = terminated | truncated",
        "over = terminated",
        "training/test_loop.py::test_what_is_stored_of_a_truncated_episode_goes_on_at_gamma",
    ),
    Mutant(
        "training/rejoin.py",
        "if ended or again != total or found.tobytes() != obs.tobytes():",
        "if ended:",
        "training/test_evaluation.py::test_an_environment_that_is_not_where_it_was_after_an_evaluation_is_named",
    ),
    Mutant(
        "training/loop.py",
        "if over or not (isinstance(event, Evaluated) and event.extra):",
        "if True:",
        "saving/test_resume.py::test_a_run_stopped_in_its_last_evaluation_can_be_made_longer",
    ),
    Mutant(
        "training/loop.py",
        "[held for held in self.scorer.waiting if held[0].seed == seed]",
        "[]",
        "saving/test_resume.py::test_a_run_stopped_in_an_evaluation_goes_on",
    ),
    Mutant(
        "training/loop.py",
        "if self.scorer.waiting:  # stopped",
        "if False:  # stopped",
        "training/test_diverged.py::test_a_seed_that_diverges_as_the_run_is_stopped_is_not_told_before_its_rows",
    ),
    Mutant(
        "training/loop.py",
        "if lane not in {*done, *diverged}",
        "if lane not in {*done}",
        "training/test_diverged.py::test_a_seed_that_has_diverged_is_told_once_and_goes_no_further",
    ),
    Mutant(
        "training/evaluation.py",
        "return self.waiting[0][1] is None or",
        "return False or",
        "training/test_evaluation.py::test_what_needs_no_score_is_told_at_once",
    ),
    Mutant(
        "training/evaluation.py",
        "or len(self.waiting) >= self.together",
        "or len(self.waiting) > self.together",
        "training/test_evaluation.py::test_in_a_shared_environment_an_evaluation_is_played_in_the_step_it_is_of",
    ),
    Mutant(
        "training/loop.py",
        "time.monotonic() + GRACE",
        "time.monotonic()",
        "training/test_run.py::test_an_interrupt_during_evaluation_loses_no_episode",
    ),
    Mutant(
        "training/loop.py",
        'episode_seed(self.seeds[lane], "env", int(self.episode[lane]))',
        'episode_seed(self.seeds[lane], "env", int(self.episode[lane]) - 1)',
        "test_golden.py::test_the_scores_of_a_small_run[gridworld_random]",
    ),
    Mutant(
        "training/policy.py",
        "self.uniforms.at(step)",
        "self.uniforms.at(step + 1)",
        "test_golden.py::test_the_scores_of_a_small_run[gridworld_random]",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "uniform[:, 0] >= self.epsilon(step, episode)",
        "uniform[:, 0] < self.epsilon(step, episode)",
        "training/test_loop.py::test_epsilon_0_is_the_greedy_action_every_time",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "uniform[:, 0] >= self.epsilon(step, episode)",
        "uniform[:, 0] > self.epsilon(step, episode)",
        "training/test_loop.py::test_an_action_is_random_where_the_chance_is_below_epsilon[0.0-0.0-False]",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "uniform[:, 0] >= self.epsilon(step, episode)",
        "uniform[:, 1] >= self.epsilon(step, episode)",
        "training/test_loop.py::test_an_action_is_random_where_the_chance_is_below_epsilon[0.0-1e-09-True]",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "(uniform[:, 1] * actions).astype",
        "(uniform[:, 1] * (actions - 1)).astype",
        "training/test_loop.py::test_epsilon_1_is_a_random_action_every_time",
    ),
    Mutant(
        "training/loop.py",
        "worth, next_obs, *ends))",
        "worth, next_obs, truncated, truncated))",
        "training/test_loop.py::test_what_is_stored_of_a_truncated_episode_goes_on_at_gamma",
    ),
    Mutant(
        "training/loop.py",
        "worth, next_obs, *ends))",
        "worth, next_obs, ends[0] & ~truncated, truncated))",
        "training/test_loop.py::test_what_is_stored_of_a_terminated_episode_ends_there",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "uniform[:, 0] >= self.epsilon(step, episode)",
        "uniform[0, 0] >= self.epsilon(step, episode)",
        "training/test_loop.py::test_epsilon_is_how_often_an_action_is_random",
    ),
    Mutant(
        "training/loop.py",
        "worth, next_obs, *ends))",
        "worth, next_obs, ends[0] | truncated, truncated))",
        "training/test_loop.py::test_what_is_stored_of_a_truncated_episode_goes_on_at_gamma",
    ),
    Mutant(
        "training/workers.py",
        "seeds * config.episodes >= LONG_EPISODES",
        "seeds * config.episodes > LONG_EPISODES",
        "training/test_workers.py::test_auto_starts_processes_where_a_run_is_long",
    ),
    Mutant(
        "training/workers.py",
        "seeds * config.steps >= LONG_STEPS",
        "seeds * config.steps > LONG_STEPS",
        "training/test_workers.py::test_auto_starts_processes_where_a_run_is_long",
    ),
    Mutant(
        "training/workers.py",
        "return min(int(wanted), seeds)",
        "return int(wanted)",
        "training/test_workers.py::test_auto_starts_processes_where_a_run_is_long",
    ),
    Mutant(
        "training/workers.py",
        ' and device == "cpu"',
        "",
        "training/test_workers.py::test_auto_is_never_more_than_the_cores_and_one_on_a_gpu",
    ),
    Mutant(
        "training/workers.py",
        "self.seeds[i::count]",
        "self.seeds[count - 1 - i :: count]",
        "training/test_workers.py::test_the_events_are_those_of_one_loop",
    ),
    Mutant(
        "training/workers.py",
        "math.ceil(quota / period)",
        "math.floor(quota / period)",
        "training/test_workers.py::test_a_container_s_quota_limits_the_cores",
    ),
    Mutant(
        "training/workers.py",
        "min(here, math.ceil(quota / period))",
        "math.ceil(quota / period)",
        "training/test_workers.py::test_a_container_s_quota_limits_the_cores",
    ),
    Mutant(
        "training/workers.py",
        "max(1, min(here, math.ceil(quota / period)))",
        "here",
        "training/test_workers.py::test_a_container_s_quota_limits_the_cores",
    ),
    Mutant(
        "training/workers.py",
        "failure = failure or message",
        "failure = message",
        "training/test_workers.py::test_the_first_failure_is_told_and_stops_the_other_processes",
    ),
    Mutant(
        "training/workers.py",
        "                    self.stop()\n",
        "",
        "training/test_workers.py::test_the_first_failure_is_told_and_stops_the_other_processes",
    ),
    Mutant(
        "training/workers.py",
        'pipe.send("stop")',
        "pass",
        "training/test_workers.py::test_the_first_failure_is_told_and_stops_the_other_processes",
    ),
    Mutant(
        "training/workers.py",
        "message.seconds / len(self.shares)",
        "message.seconds",
        "training/test_workers.py::test_seconds_of_processes_side_by_side_are_shares_of_the_run_s",
    ),
    Mutant(
        "saving/resume.py",
        "if lane.seed != seed:",
        "if False:",
        "training/test_fits.py::test_a_checkpoint_of_another_seed_or_environment_is_refused",
    ),
    Mutant(
        "training/fits.py",
        "(actions >= space.actions)",
        "(actions > space.actions)",
        "training/test_fits.py::test_a_checkpoint_of_another_seed_or_environment_is_refused",
    ),
    Mutant(
        "training/fits.py",
        "if any(len(params) != width for params in networks):",
        "if False:",
        "saving/test_resume.py::test_a_checkpoint_of_another_configuration_is_refused_and_kept",
    ),
    Mutant(
        "config.py",
        "return int(value) if exact else value",
        "return value",
        "cli/test_errors.py::test_a_whole_number_may_be_written_as_a_float",
    ),
    Mutant(
        "config.py",
        "return [_whole(item) for item in value]",
        "return value",
        "cli/test_errors.py::test_a_whole_number_may_be_written_as_a_float",
    ),
    Mutant(
        "config.py",
        "value.is_integer() and abs(value)",
        "abs(value)",
        "cli/test_errors.py::test_a_value_that_cannot_be_is_named_with_what_can",
    ),
    Mutant(
        "config.py",
        "Le(2**63 - 1)",
        "Le(2**64 - 1)",
        "cli/test_errors.py::test_a_value_that_cannot_be_is_named_with_what_can",
    ),
    Mutant(
        "config.py",
        "strict=True",
        "strict=False",
        "cli/test_errors.py::test_a_value_that_cannot_be_is_named_with_what_can",
    ),
    Mutant(
        "config.py",
        "allow_inf_nan=False",
        "allow_inf_nan=True",
        "cli/test_errors.py::test_a_value_that_cannot_be_is_named_with_what_can",
    ),
    Mutant(
        "config.py",
        "if times > 1]",
        "if times > 2]",
        "cli/test_errors.py::test_bad_input_is_one_line[seed=[1,2,1]]",
    ),
    Mutant(
        "config.py",
        "if capacity < config.batch_size:",
        "if capacity <= config.batch_size:",
        "cli/test_errors.py::test_a_buffer_of_one_batch_is_enough",
    ),
    Mutant(
        "config.py",
        'if not found or found.__module__ != name.rpartition(".")[0]:',
        "if not found:",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        "NamesCode(lambda value: True)",
        "NamesCode(lambda value: False)",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        'NamesCode(lambda value: ":" in str(value))',
        "NamesCode(lambda value: False)",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        "            yield from marks(inner)",
        "            pass",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        'NamesCode(lambda value: any(":" in text for text in _strings(value)))',
        "NamesCode(lambda value: False)",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        "value.items()",
        "value.keys()",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        "NamesCode(_foreign_wrappers)",
        "NamesCode(lambda value: False)",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py", "(?!Record)", "", "saving/test_resume.py::test_code_that_a_run_names_is_not_run"
    ),
    Mutant(
        "code.py",
        'and not any(":" in text for text in _strings(wrapper))',
        "",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "code.py",
        "sys.path.append(here)",
        "pass",
        "env/test_gym.py::test_the_current_folder_is_looked_in_last",
    ),
    Mutant(
        "code.py",
        "sys.path.append(here)",
        "sys.path.insert(0, here)",
        "env/test_gym.py::test_the_current_folder_is_looked_in_last",
    ),
    Mutant(
        "storage/ring.py",
        "return int(np.prod(self.shape)) *",
        "return",
        "training/test_memory.py::test_a_row_is_two_observations_three_numbers_and_an_end",
    ),
    Mutant(
        "training/memory.py",
        "needed = seeds * full(",
        "needed = full(",
        "training/test_memory.py::test_replay_that_does_not_fit_is_refused_and_what_just_fits_is_not",
    ),
    Mutant(
        "training/memory.py",
        "needed > there",
        "needed >= there",
        "training/test_memory.py::test_replay_that_does_not_fit_is_refused_and_what_just_fits_is_not",
    ),
    Mutant(
        "training/memory.py",
        "rows = min(rows, config.steps)",
        "pass",
        "training/test_memory.py::test_replay_that_does_not_fit_is_refused_and_what_just_fits_is_not",
    ),
    Mutant(
        "training/memory.py",
        "rows = min(rows, config.episodes * max_steps)",
        "pass",
        "training/test_memory.py::test_replay_that_does_not_fit_is_refused_and_what_just_fits_is_not",
    ),
    Mutant(
        "training/memory.py",
        'return min(here, int(QUOTA.read_text(encoding="ascii")))',
        "return here",
        "training/test_memory.py::test_a_container_s_limit_counts_where_it_is_the_smaller",
    ),
    Mutant(
        "training/memory.py",
        'return min(here, int(QUOTA.read_text(encoding="ascii")))',
        'return int(QUOTA.read_text(encoding="ascii"))',
        "training/test_memory.py::test_a_container_s_limit_counts_where_it_is_the_smaller",
    ),
    Mutant(
        "env/gym.py",
        'code.load(self.id.partition(":")[0])',
        "pass",
        "env/test_gym.py::test_the_current_folder_is_looked_in_last",
    ),
    Mutant(
        "env/gym_row.py",
        "if usual and given.shape == self.space.obs_shape:",
        "if usual:",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[ObsShort]",
    ),
    Mutant(
        "env/gym_row.py",
        "or math.isfinite(np.vdot(obs, obs)):",
        "or True:",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[ObsNan]",
    ),
    Mutant(
        "env/gym_row.py",
        "if value is None or isinstance(value, str",
        "if isinstance(value, str",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[RewardNone]",
    ),
    Mutant(
        "env/gym_row.py",
        "str | bytes | complex",
        "bytes | complex",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[RewardText]",
    ),
    Mutant(
        "env/gym_row.py",
        "if not math.isfinite(found):",
        "if math.isnan(found):",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[RewardInfinite]",
    ),
    Mutant(
        "results/stats.py",
        "max(1, shortest // 4)",
        "max(1, shortest)",
        "results/test_stats.py::test_only_rows_with_a_score_count",
    ),
    Mutant(
        "results/stats.py",
        "return window if shortest > window else",
        "return window if shortest >= window else",
        "results/test_stats.py::test_as_many_values_as_the_window_are_too_few",
    ),
    Mutant(
        "results/stats.py",
        "means >= limit",
        "means > limit",
        "results/test_stats.py::test_a_summary_by_hand",
    ),
    Mutant(
        "results/stats.py",
        "firsts.append(np.inf)\n            continue",
        "continue",
        "results/test_stats.py::test_the_median_episode_needs_more_than_half_of_the_seeds",
    ),
    Mutant(
        "results/outcome.py",
        "score >= self.best_score",
        "score > self.best_score",
        "results/test_writer.py::test_the_summary_tells_final_and_best_of_each_seed",
    ),
    Mutant(
        "results/writer.py",
        "if kept is None and holds_run(directory):",
        "if False:",
        "results/test_writer.py::test_a_run_is_never_overwritten",
    ),
    Mutant(
        "results/rows.py",
        "file.truncate(ends[kept])",
        "file.truncate(ends[-1])",
        "results/test_writer.py::test_rows_after_those_kept_are_cut_off",
    ),
    Mutant(
        "results/writer.py",
        'sorted([*episodes, *evaluations], key=lambda row: row["step"])',
        "[*episodes, *evaluations]",
        "results/test_writer.py::test_what_rows_say_is_taken_in_the_order_of_steps",
    ),
    Mutant(
        "results/rows.py",
        "if int(episode) <= kept.get(int(seed), NONE).episodes:",
        "if int(episode) < kept.get(int(seed), NONE).episodes:",
        "results/test_writer.py::test_times_of_episodes_that_stay_stay",
    ),
    Mutant(
        "results/reader.py",
        "if row[0] <= (rows[-1][0] if rows else 0):",
        "if row[0] < (rows[-1][0] if rows else 0):",
        "results/test_reader.py::test_a_damaged_csv_is_one_line",
    ),
    Mutant(
        "results/reader.py",
        "else first > before",
        "else first >= before",
        "results/test_reader.py::test_whole_evaluations_are_those_whose_steps_go_up",
    ),
    Mutant(
        "results/reader.py",
        "fits = first == number if",
        "fits = first >= number if",
        "results/test_reader.py::test_whole_episodes_are_those_before_the_first_that_is_not_whole",
    ),
    Mutant(
        "results/reader.py",
        "if len(data) > limit:",
        "if len(data) > limit + 1:",
        "results/test_reader.py::test_a_file_past_its_limit_is_one_line",
    ),
    Mutant(
        "results/report.py",
        "len(which) == len(placed) > 1",
        "len(which) == len(placed)",
        "results/test_report.py::test_notes_say_what_is_not_as_asked_for",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "chosen = best(chooser[lane, row, :, 0])",
        "chosen = best(values[lane, row, :, 0])",
        "kernels/test_kernels.py::test_both_kinds_compute_the_same",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "q[lane, row] = loss, size, value",
        "q[lane, row] = loss, size, y",
        "test_golden.py::test_the_scores_of_a_small_run[dqn]",
    ),
    Mutant(
        "buffer/per_rank.py",
        "self.priority[:, position] = np.inf",
        "self.priority[:, position] = 1.0",
        "buffer/test_per_rank.py::test_it_is_the_slow_list",
    ),
    Mutant(
        "buffer/per_rank.py",
        "self.priority[:, position] = np.inf",
        "self.priority[:, position] = self.priority.max()",
        "buffer/test_per_rank.py::test_it_is_the_slow_list",
    ),
    Mutant(
        "buffer/per_rank.py",
        "self.priority[:, position] = np.inf",
        "pass",
        "buffer/test_per_rank.py::test_it_is_the_slow_list",
    ),
    Mutant(
        "kernels/loops/trees.py",
        "nodes[lane, width + place] = smallest(family) if least else total(family)",
        "nodes[lane, width + place] = smallest(family) if least else np.float32(total(family))",
        "buffer/test_sum_tree.py::test_no_drift_after_a_million_updates",
    ),
    Mutant(
        "env/gridworld.py",
        "MOVES = (-COLUMNS, COLUMNS, -1, 1)",
        "MOVES = (COLUMNS, -COLUMNS, -1, 1)",
        "test_golden.py::test_a_trace_of_the_gridworld",
    ),
    Mutant(
        "env/gridworld.py",
        "self.phases[i] = (self.phases[i] + 1) % len(patrol)",
        "self.phases[i] = (self.phases[i] - 1) % len(patrol)",
        "test_golden.py::test_a_trace_of_the_gridworld",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "q().argmax(-1)",
        "q().argmin(-1)",
        "training/test_loop.py::test_epsilon_0_is_the_greedy_action_every_time",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "q_sum[lane, row] += q[lane, row]",
        "q_sum[lane, row] += w * q[lane, row]",
        "test_golden.py::test_the_scores_of_a_small_run[everything]",
    ),
    Mutant(
        "training/learner.py",
        "q = self.q_sum[lane].mean().item()",
        "q = (self.q_sum[lane].sum() / self.divisor).item()",
        "training/test_learner.py::test_under_per_the_loss_is_weighted_and_q_is_not[sum-17.0]",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "loss_sum[lane, row] += w * per_sample[lane, row]",
        "loss_sum[lane, row] += per_sample[lane, row]",
        "test_golden.py::test_the_scores_of_a_small_run[everything]",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "loss_sum[lane, row] += w * per_sample[lane, row]",
        "loss_sum[lane, row] += w * w * per_sample[lane, row]",
        "test_golden.py::test_the_scores_of_a_small_run[everything]",
    ),
    Mutant(
        "kernels/tensors.py",
        "square.clamp(min=1e-30).sqrt_()",
        "square.clamp(min=1e-20).sqrt_()",
        "kernels/test_kernels.py::test_a_square_of_nothing_counts_as_hardly_anything",
    ),
    Mutant(
        "training/evaluation.py",
        "self.scored[event.seed] = event.step",
        "pass",
        "training/test_lanes.py::test_the_end_is_always_scored",
    ),
    Mutant(
        "training/loop.py",
        "[lane.episode + 1 for lane in joining]",
        "[lane.episode for lane in joining]",
        "saving/test_resume.py::test_a_killed_run_that_goes_on_ends_with_the_same_bytes",
    ),
    Mutant(
        "training/loop.py",
        "self.exploring.reseed(self.seeds)",
        "self.exploring.reseed([seed + 1 for seed in self.seeds])",
        "saving/test_resume.py::test_a_killed_run_that_goes_on_ends_with_the_same_bytes",
    ),
    Mutant(
        "training/loop.py",
        "self.scorer.best |= {lane.seed: lane.best for lane in lanes if lane.best is not None}",
        "pass",
        "saving/test_resume.py::test_a_killed_run_that_goes_on_ends_with_the_same_bytes",
    ),
    Mutant(
        "training/loop.py",
        "sorted(lanes, key=lambda lane: lane.step)",
        "list(lanes)",
        "training/test_rejoin.py::test_seeds_saved_at_different_steps_join_where_they_belong",
    ),
    Mutant(
        "training/loop.py",
        "self.later[0].step > self.step:",
        "self.later[0].step >= self.step:",
        "training/test_rejoin.py::test_seeds_saved_at_different_steps_join_where_they_belong",
    ),
    Mutant(
        "training/rejoin.py",
        "if lane.known is not None:",
        "if False:",
        "training/test_rejoin.py::test_an_environment_with_a_memory_is_named_though_no_episode_is_open",
    ),
    Mutant(
        "training/rejoin.py",
        "if not whole or obs.tobytes() != lane.known.obs.numpy().tobytes():",
        "if not whole:",
        "training/test_rejoin.py::test_an_environment_with_a_memory_is_named_though_no_episode_is_open",
    ),
    Mutant(
        "training/loop.py",
        "[lane_return for lane_return, _ in rebuilt]",
        "[0.0 for _ in rebuilt]",
        "training/test_rejoin.py::test_an_open_episode_is_rebuilt_by_its_actions",
    ),
    Mutant(
        "training/rejoin.py",
        "whole = ended == len(lane.known.actions) and total",
        "whole = total",
        "training/test_rejoin.py::test_an_episode_that_is_played_again_must_be_the_same",
    ),
    Mutant(
        "training/rejoin.py",
        " and total == lane.known.return_",
        "",
        "training/test_rejoin.py::test_an_episode_that_is_played_again_must_be_the_same",
    ),
    Mutant(
        "training/rejoin.py",
        "if ended or obs.tobytes() != lane.obs.numpy().tobytes():",
        "if ended:",
        "training/test_rejoin.py::test_an_episode_that_is_played_again_must_be_the_same",
    ),
    Mutant(
        "training/evaluation.py",
        'episode_seed(seed, "fresh", number)',
        'episode_seed(seed, "eval", 1, number)',
        "training/test_evaluation.py::test_fresh_scores_are_those_of_a_plain_loop",
    ),
    Mutant(
        "training/evaluation.py",
        "returns[:, :episodes].mean(-1)",
        "returns.mean(-1)",
        "training/test_evaluation.py::test_fresh_scores_are_those_of_a_plain_loop",
    ),
    Mutant(
        "training/evaluation.py",
        'episode_seed(seed, "eval", step, number)',
        'episode_seed(seed, "eval", number)',
        "training/test_evaluation.py::test_seeds_are_none_of_training_s_and_none_comes_twice",
    ),
    Mutant(
        "training/evaluation.py",
        "score < best.score",
        "score <= best.score",
        "training/test_evaluation.py::test_best_is_finite_and_the_later_of_equals",
    ),
    Mutant(
        "training/evaluation.py",
        " or not math.isfinite(score)",
        "",
        "training/test_evaluation.py::test_best_is_finite_and_the_later_of_equals",
    ),
    Mutant(
        "training/evaluation.py",
        "if not (isinstance(event, Evaluated) and event.extra):",
        "if True:",
        "training/test_evaluation.py::test_best_is_finite_and_the_later_of_equals",
    ),
    Mutant(
        "training/evaluation.py",
        "if length == max_steps:",
        "if length > max_steps:",
        "training/test_evaluation.py::test_an_episode_without_an_end_is_cut_and_counted",
    ),
    Mutant(
        "training/evaluation.py",
        "cut |= open_",
        "pass",
        "training/test_evaluation.py::test_an_episode_without_an_end_is_cut_and_counted",
    ),
    Mutant(
        "training/evaluation.py",
        "score=score, cut=cut, best=best",
        "score=score, best=best",
        "training/test_lanes.py::test_a_continuing_environment_is_scored",
    ),
    Mutant(
        "training/evaluation.py",
        "first_row = self.shared[1][due[0][0].seed]",
        "first_row = 0",
        "training/test_evaluation.py::test_a_shared_environment_changes_no_byte",
    ),
    Mutant(
        "training/evaluation.py",
        "self.disturbed.add(due[0][0].seed)",
        "pass",
        "training/test_evaluation.py::test_a_shared_environment_changes_no_byte",
    ),
    Mutant(
        "training/evaluation.py",
        "self.max_steps or env.max_steps or MAX_STEPS",
        "env.max_steps or self.max_steps or MAX_STEPS",
        "training/test_evaluation.py::test_the_limit_of_an_evaluation_is_the_user_s_then_the_environment_s",
    ),
    Mutant(
        "training/evaluation.py",
        "self.waiting.pop(0)",
        "self.waiting.pop()",
        "training/test_lanes.py::test_evaluating_by_steps_scores_the_network_of_that_very_step",
    ),
    Mutant(
        "training/evaluation.py",
        "    envs.close()\n",
        "",
        "training/test_evaluation.py::test_fresh_episodes_leave_no_environment_open",
    ),
    Mutant(
        "training/run.py",
        "if note not in notes:",
        "if True:",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[ClosesBadly]",
    ),
    Mutant(
        "training/run.py",
        "if len(run.diverged) == len(config.seeds):",
        "if False:",
        "training/test_diverged.py::test_a_run_of_which_every_seed_diverged_has_failed",
    ),
    Mutant(
        "training/run.py",
        "self.cut[event.seed] += event.cut",
        "self.cut[event.seed] = event.cut",
        "training/test_run.py::test_every_cut_episode_is_counted",
    ),
    Mutant(
        "logger/files.py",
        'self._save(event.seed, "best", event.episode,',
        'self._save(event.seed, "last", event.episode,',
        "cli/test_train.py::test_checkpoints_are_those_of_the_best_score_and_of_the_end",
    ),
    Mutant(
        "logger/files.py",
        "self.lane_steps / (self.seconds - self.evaluation)",
        "self.lane_steps / self.seconds",
        "logger/test_files.py::test_speed_is_that_of_training_alone",
    ),
    Mutant(
        "training/signals.py",
        "if received and number == signal.SIGINT:",
        "if received:",
        "training/test_run.py::test_a_second_sigterm_changes_nothing",
    ),
    Mutant(
        "env/gym_row.py",
        "isinstance(value, bool | np.bool_ | int | np.integer) and value in (0, 1)",
        "value in (0, 1, None)",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[EndsAsNone]",
    ),
    Mutant(
        "env/gym.py",
        "(steps, first), (_, second) = play(), play()",
        "(steps, first), (_, second) = (played := play()), played",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[OwnRandomness]",
    ),
    Mutant(
        "env/gym.py",
        "largest >= LARGEST",
        "largest < LARGEST",
        "env/test_door.py::test_every_odd_environment_leads_to_its_line[TimeStamps]",
    ),
    Mutant(
        "env/gym.py",
        "for wrap in self.wrappers:",
        "for wrap in reversed(self.wrappers):",
        "env/test_gym.py::test_the_first_wrapper_is_the_innermost",
    ),
    Mutant(
        "env/gym_row.py",
        "(action + self.acted.start)",
        "action",
        "env/test_gym.py::test_actions_count_from_the_start_of_the_space",
    ),
    Mutant(
        "env/row.py",
        "return repr(attributes) == repr(vars(cls.kind()))",
        "return True",
        "env/test_rows.py::test_wrappers_and_arguments_of_a_registration_are_not_passed_over",
    ),
    Mutant(
        "env/acrobot.py",
        "math.pow(flat[i], two)",
        "flat[i] * flat[i]",
        "env/test_rows.py::test_a_step_from_any_state_is_the_same[compiled-Acrobot-v1]",
    ),
    Mutant(
        "env/spaces.py",
        "(array < low) | (array > high)",
        "array > high",
        "env/test_spaces.py::test_what_is_not_as_declared_is_an_error_that_says_what_came",
    ),
    Mutant(
        "env/spaces.py",
        "(chosen < 0) | (chosen >= self.choices)",
        "(chosen < 0) | (chosen > self.choices)",
        "env/test_spaces.py::test_what_is_not_as_declared_is_an_error_that_says_what_came",
    ),
    Mutant(
        "env/spaces.py",
        "set(keys) != set(self.keys)",
        "not set(self.keys) <= set(keys)",
        "env/test_spaces.py::test_what_is_not_as_declared_is_an_error_that_says_what_came",
    ),
    Mutant(
        "env/spaces.py",
        "if not np.isfinite(found).all():",
        "if np.isnan(found).any():",
        "env/test_spaces.py::test_what_is_not_as_declared_is_an_error_that_says_what_came",
    ),
    Mutant(
        "env/spaces.py",
        '    if array.dtype.kind not in kinds:\n        raise ValueError(f"of {array.dtype}")\n',
        "",
        "env/test_spaces.py::test_what_is_not_as_declared_is_an_error_that_says_what_came",
    ),
    Mutant(
        "env/spaces.py",
        "(high <= 255).all()",
        "(high < 255).all()",
        "env/test_spaces.py::test_it_becomes_the_array_that_it_should",
    ),
    Mutant(
        "env/spaces.py",
        "np.cumsum(self.choices.ravel()) - self.choices.ravel()",
        "np.cumsum(self.choices.ravel())",
        "env/test_spaces.py::test_it_becomes_the_array_that_it_should",
    ),
    Mutant(
        "env/spaces.py",
        "largest = np.where(largest > 0, largest, 1.0)",
        "pass",
        "env/test_spaces.py::test_it_becomes_the_array_that_it_should",
    ),
    Mutant(
        "saving/resume.py",
        "return Rows(lane.episode - episodes,",
        "return Rows(lane.episode - episodes - 1,",
        "saving/test_resume.py::test_a_killed_run_that_goes_on_ends_with_the_same_bytes[plain]",
    ),
    Mutant(
        "saving/resume.py",
        "scored // keys.diagnose_every - diagnosed",
        "scored // keys.diagnose_every - 1 - diagnosed",
        "saving/test_resume.py::test_a_killed_run_that_goes_on_ends_with_the_same_bytes[plain]",
    ),
    Mutant(
        "training/diagnosis.py",
        "generator(seed, ",
        "generator(lane, ",
        "training/test_lanes.py::test_a_lane_in_company_is_the_same_seed_alone[plain]",
    ),
    Mutant(
        "training/diagnosis.py",
        "(storage.newest - age) % storage.capacity",
        "held - 1 - age",
        "training/test_diagnosis.py::test_ages_go_on_where_replay_begins_again[compiled]",
    ),
    Mutant(
        "training/learner.py",
        "[own] + 0\n        grad",
        "[own]\n        target += 0.1\n        grad",
        "training/test_diagnosis.py::test_taking_one_changes_nothing[plain]",
    ),
    Mutant(
        "saving/resume.py",
        "begun = lane.episode + (len(lane.actions) > 0)",
        "begun = lane.episode",
        "saving/test_resume.py::test_a_limit_in_episodes_that_lies_before_an_open_episode_is_refused",
    ),
    Mutant(
        "saving/resume.py",
        '*("seed", "episodes", "steps"),',
        '*("gamma", "seed", "episodes", "steps"),',
        "saving/test_resume.py::test_what_would_be_another_experiment_is_refused_by_name",
    ),
    Mutant(
        "saving/save.py",
        "if saved.get(loop.seeds[place]) != loop.step:",
        "if True:",
        "saving/test_save.py::test_no_checkpoint_is_written_twice_under_one_name",
    ),
    Mutant(
        "saving/resume.py",
        "return bool(lane.waiting) or (",
        "return (",
        "saving/test_resume.py::test_a_run_stopped_in_an_evaluation_goes_on",
    ),
    Mutant(
        "saving/resume.py",
        "lane.episode and config.steps != lane.step)",
        "lane.episode or config.steps != lane.step)",
        "saving/test_resume.py::test_with_nothing_left_to_do_nothing_changes",
    ),
    Mutant(
        "saving/resume.py",
        'values["seed"] = before.seeds + [',
        'values["seed"] = [',
        "saving/test_resume.py::test_more_seeds_train_only_those_that_are_missing",
    ),
    Mutant(
        "saving/resume.py",
        "if not trust:",
        "if False:",
        "saving/test_resume.py::test_code_that_a_run_names_is_not_run",
    ),
    Mutant(
        "results/stats.py",
        'side="right") - 1',
        'side="left") - 1',
        "results/test_stats.py::test_over_steps_each_seed_is_a_staircase",
    ),
    Mutant(
        "results/stats.py",
        "grid >= max(place[0] for place in places)",
        "grid >= min(place[0] for place in places)",
        "results/test_stats.py::test_over_steps_each_seed_is_a_staircase",
    ),
    Mutant(
        "results/stats.py",
        "(grid <= ends[i])",
        "(grid < ends[i])",
        "results/test_stats.py::test_n_drops_where_a_seed_ends",
    ),
    Mutant(
        "training/loop.py",
        "self.known = [self.known[lane] for lane in chosen]",
        "self.known = self.known[: len(chosen)]",
        "training/test_lanes.py::test_what_is_saved_of_a_seed_is_the_same_alone_and_after_another_has_left",
    ),
    Mutant(
        "training/evaluation.py",
        'params.to("cpu", copy=True)',
        'params.to("cpu")',
        "training/test_evaluation.py::test_what_waits_for_its_score_is_a_copy_of_the_parameters",
    ),
    Mutant(
        "saving/save.py",
        "if not all(lane.learner[name]",
        "if not any(lane.learner[name]",
        "saving/test_save.py::test_nothing_is_saved_of_a_network_or_target_that_is_no_numbers",
    ),
    Mutant(
        "saving/resume.py",
        "if keys.every_steps else 0) - evaluations",
        "if keys.every_steps else 0) - evaluations - 1",
        "saving/test_resume.py::"
        "test_a_killed_run_that_goes_on_ends_with_the_same_bytes[evaluated by steps]",
    ),
    Mutant(
        "training/workers.py",
        "            self.kill()\n            raise",
        "            raise",
        "training/test_workers.py::test_a_run_that_nobody_listens_to_any_more_is_ended",
    ),
    Mutant(
        "training/workers.py",
        "process.join(max(until - time.monotonic(), 0))\n        self.kill()",
        "process.join(max(until - time.monotonic(), 0))",
        "training/test_workers.py::test_a_process_that_does_not_end_is_not_waited_for_long",
    ),
    Mutant(
        "training/workers.py",
        "        self._end()\n",
        "",
        "training/test_workers.py::test_the_events_are_those_of_one_loop",
    ),
    Mutant(
        "training/workers.py",
        "        for process in self.processes:\n            process.join(ENDING_SECONDS)",
        "",
        "training/test_workers.py::test_a_run_that_nobody_listens_to_any_more_is_ended",
    ),
    Mutant(
        "logger/files.py",
        "self.writer.best_again(event.seed, event.score)",
        "pass",
        "training/test_run.py::test_best_networks_are_scored_on_fresh_episodes",
    ),
    Mutant(
        "training/loop.py",
        "next_obs, *ends))",
        "next_obs, ends[0], ends[0]))",
        "training/test_loop.py::test_what_is_stored_of_a_truncated_episode_goes_on_at_gamma",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "if ends[slot, last] or last == newest:",
        "if ends[slot, last]:",
        "storage/test_transitions.py::test_no_return_spans_the_place_that_is_written_next",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "if ends[slot, last] or last == newest:",
        "if last == newest:",
        "storage/test_transitions.py::test_every_row_begins_a_return_and_none_mixes_two_episodes",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "ends[slot, position] = terminated[lane] or truncated[lane]",
        "ends[slot, position] = terminated[lane]",
        "storage/test_transitions.py::test_every_row_begins_a_return_and_none_mixes_two_episodes",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "next_obs[lane, row, i] = pairs[slot, last, 1, i]",
        "next_obs[lane, row, i] = pairs[slot, first, 1, i]",
        "storage/test_transitions.py::test_a_return_of_three_steps_by_hand",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "factor *= numbers[slot, last, 2]",
        "factor *= numbers[slot, first, 2]",
        "storage/test_transitions.py::test_a_return_of_three_steps_by_hand",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "total += factor * numbers[slot, last, 1]",
        "total += numbers[slot, last, 1]",
        "storage/test_transitions.py::test_a_return_of_three_steps_by_hand",
    ),
    Mutant(
        "storage/ring.py",
        "self._use(self.own[list(lanes)])",
        "self._use(self.own[: len(lanes)])",
        "storage/test_transitions.py::test_keep_keeps_the_rows_of_these_lanes_and_goes_on",
    ),
    Mutant(
        "storage/ring.py",
        "if slot not in kept]",
        "if slot >= 0]",
        "storage/test_transitions.py::test_a_lane_that_joins_moves_none_that_is_there",
    ),
    Mutant(
        "storage/ring.py",
        "np.arange(first, stop) % self.kinds[name].length",
        "np.arange(first, stop) % self.capacity",
        "storage/test_frames.py::test_like_pairs_wherever_episodes_end",
    ),
    Mutant(
        "storage/ring.py",
        "first = self.stored - len(self)\n",
        "first = 0\n",
        "storage/test_transitions.py::test_what_is_taken_out_of_a_storage_goes_on_in_another",
    ),
    Mutant(
        "storage/frames.py",
        "~same(obs, self.next_obs[self.own]) |",
        "step.terminated |",
        "storage/test_frames.py::test_frame_stack_crosses_no_episode_boundary_and_loses_no_last_frame",
    ),
    Mutant(
        "storage/frames.py",
        '"frames": Column(capacity + stack,',
        '"frames": Column(capacity + 1,',
        "storage/test_frames.py::test_like_pairs_wherever_episodes_end",
    ),
    Mutant(
        "storage/frames.py",
        ">= self.blank.shape[1]:\n                self._grow()",
        "> self.blank.shape[1]:\n                self._grow()",
        "storage/test_frames.py::test_many_short_episodes_find_room",
    ),
    Mutant(
        "storage/frames.py",
        "self.lasts[slot, place] = self.kernels.place(self.next_obs[slot, -1].copy())",
        "pass",
        "storage/test_frames.py::test_a_stack_by_hand",
    ),
    Mutant(
        "storage/frames.py",
        "blank = not earlier.any()",
        "blank = False",
        "storage/test_frames.py::test_a_stack_by_hand",
    ),
    Mutant(
        "storage/frames.py",
        "self.next_obs[slot] = following",
        "pass",
        "storage/test_frames.py::test_like_pairs_wherever_episodes_end",
    ),
    Mutant(
        "storage/frames.py",
        "frames[slot, place(before)] = place(earlier)",
        "pass",
        "storage/test_frames.py::test_like_pairs_wherever_episodes_end",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "(number - min(k, back[slot, place]))",
        "(number - k)",
        "storage/test_frames.py::test_frame_stack_crosses_no_episode_boundary_and_loses_no_last_frame",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "if last != newest and episode",
        "if episode",
        "kernels/test_kernels.py::test_both_kinds_compute_the_same",
    ),
    Mutant(
        "saving/blocks.py",
        "if stop % size or stop <= written:",
        "if stop % size:",
        "saving/test_blocks.py::test_rows_come_back_and_full_blocks_are_written_once",
    ),
    Mutant(
        "saving/blocks.py",
        "del latest[: moved[-2]]",
        "del latest[: moved[-1]]",
        "saving/test_blocks.py::test_the_disk_stays_bounded_and_the_last_two_checkpoints_whole",
    ),
    Mutant(
        "saving/blocks.py",
        "path.unlink(missing_ok=True)",
        "pass",
        "saving/test_blocks.py::test_the_disk_stays_bounded_and_the_last_two_checkpoints_whole",
    ),
    Mutant(
        "saving/blocks.py",
        "zlib.crc32(file.read_bytes()) == block.crc",
        "bool(file.read_bytes())",
        "saving/test_blocks.py::test_a_block_that_is_not_as_it_was_written_is_named",
    ),
    Mutant(
        "saving/blocks.py",
        "tensor[first - block.first :]",
        "tensor[:]",
        "saving/test_blocks.py::test_the_disk_stays_bounded_and_the_last_two_checkpoints_whole",
    ),
    Mutant(
        "training/learner.py",
        "self.count * FORWARDS + forward",
        "self.count * FORWARDS",
        "training/test_learner.py::test_every_forward_of_every_update_has_noise_of_its_own",
    ),
    Mutant(
        "training/learner.py",
        "self.noise.keep(lanes)",
        "pass",
        "training/test_learner.py::test_noise_goes_on_for_lanes_that_stay_and_for_those_taken_up",
    ),
    Mutant(
        "training/policy.py",
        "self.q(weights, obs).argmax(-1)",
        "self.q(weights, obs).argmin(-1)",
        "training/test_policy.py::test_act_is_the_best_action_of_each_lane_s_own_network",
    ),
    Mutant(
        "training/policy.py",
        "else self.noise.floats(step)",
        "else self.noise.floats(0)",
        "training/test_policy.py::test_training_acts_with_noise_of_each_step_and_the_greedy_network_has_none",
    ),
    Mutant(
        "exploration/epsilon_greedy.py",
        "if np.count_nonzero(greedy):",
        "if True:",
        "exploration/test_epsilon_greedy.py::test_q_values_are_computed_only_where_a_lane_is_greedy",
    ),
    Mutant(
        "network/layers.py",
        "math.sqrt(6 / (layer.inputs + layer.fan_out)), 0.0",
        "math.sqrt(6 / (layer.inputs + layer.outputs)), 0.0",
        "network/test_layers.py::test_init_by_glorot_and_as_dopamine_s[glorot-bounds0]",
    ),
    Mutant(
        "network/layers.py",
        "math.sqrt(math.sqrt(3) / layer.inputs), 0.0",
        "math.sqrt(1 / layer.inputs), 0.0",
        "network/test_layers.py::test_init_by_glorot_and_as_dopamine_s[dopamine-bounds1]",
    ),
    Mutant(
        "network/noisy.py",
        "mean[:, self.first :] = self.noisy.init(seeds)",
        "pass",
        "network/test_noisy.py::test_means_begin_as_the_paper_has_them_whatever_layers_without_noise_do"
        "[compiled]",
    ),
    Mutant(
        "config.py",
        "... if each.default is each.empty else each.default",
        "...",
        "saving/test_resume.py::test_a_run_from_before_there_was_a_key_goes_on",
    ),
    Mutant(
        "network/dueling.py",
        "d_shared = d_shared * self.trunk_gradient",
        "pass",
        "network/test_dueling.py::test_the_shared_layers_get_a_part_of_the_gradient",
    ),
    Mutant(
        "kernels/loops/dueling.py",
        "q[k] = value[k] + (advantage[k] - base[k])",
        "q[k] = value[k] + (advantage[k] - base[0])",
        "network/test_dueling.py::test_each_number_of_an_action_is_for_itself",
    ),
    Mutant(
        "seeding.py",
        "return draws.standard_normal((self.block, *self.shape))",
        "return draws.random((self.block, *self.shape))  # as the others",
        "test_golden.py::test_the_numbers_of_a_network_s_noise",
    ),
    Mutant(
        "kernels/torch.py",
        "scatter_(-2, place, value.unsqueeze(-2))",
        "scatter_(-2, place * 0, value.unsqueeze(-2))",
        "kernels/test_kernels.py::test_the_values_of_an_action_by_hand",
    ),
    Mutant(
        "training/build.py",
        "if name not in offers:",
        "if False:",
        "training/test_build.py::test_a_request_that_cannot_be_met_is_one_line_with_what_can",
    ),
    Mutant(
        "kernels/loops/elements.py",
        "if q[a] > q[found] or (",
        "if q[a] >= q[found] or (",
        "kernels/test_kernels.py::test_the_best_action_is_the_first_of_the_largest_or_the_first_nan[compiled]",
    ),
    Mutant(
        "kernels/loops/elements.py",
        "dx[row, unit] = ZERO if y[row, unit] <= ZERO else dy[row, unit]",
        "dx[row, unit] = ZERO if y[row, unit] < ZERO else dy[row, unit]",
        "network/test_layers.py::test_activations_and_their_slopes_are_those_of_pytorch[compiled-20-relu]",
    ),
    Mutant(
        "kernels/loops/dueling.py",
        "mean[k] /= np.float32(len(x))",
        "mean[k] /= np.float32(len(mean))",
        "network/test_dueling.py::test_identifiability[compiled]",
    ),
    Mutant(
        "kernels/loops/replay.py",
        "last = last + 1 if last + 1 < numbers.shape[1] else 0",
        "last = last + 1 if last + 2 < numbers.shape[1] else 0",
        "kernels/test_kernels.py::test_both_kinds_compute_the_same",
    ),
    Mutant(
        "kernels/loops/trees.py",
        "right = np.int64(here >= value) & np.int64(other > 0.0)",
        "right = np.int64(here >= value)",
        "buffer/test_sum_tree.py::test_a_mass_that_rounding_carries_past_the_end",
    ),
    Mutant(
        "kernels/loops/trees.py",
        "if count and at[count - 1] == width + place:",
        "if count and at[count - 1] >= width + place:",
        "kernels/test_kernels.py::test_both_kinds_compute_the_same",
    ),
    Mutant(
        "kernels/loops/optimizers.py",
        "(np.sqrt(lifted) / root + small)",
        "(np.sqrt(lifted) + small) / root",
        "optimizer/test_adam.py::test_the_first_two_steps_by_hand[compiled]",
    ),
    Mutant(
        "kernels/loops/optimizers.py",
        "    if share == ONE:\n        return end\n",
        "",
        "kernels/test_kernels.py::test_both_kinds_compute_the_same",
    ),
    Mutant(
        "kernels/loops/trees.py",
        "(rarest[lane] / value[lane, j]) ** beta",
        "(rarest[0] / value[lane, j]) ** beta",
        "kernels/test_kernels.py::test_importance_by_hand[compiled]",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "new[min(below[k] + 1, atoms - 1)] += mass[k] * share[k]",
        "new[below[k]] += mass[k] * share[k]",
        "algo/test_c51.py::test_projection_by_hand",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "below[k] = np.int64(left if left == left else ZERO)",
        "below[k] = np.int64(np.ceil(place) - ONE)",
        "algo/test_c51.py::test_projection_at_an_atom_keeps_its_mass",
    ),
    Mutant(
        "kernels/loops/losses.py",
        "taken[lane, row] = values[lane, row, action[lane, row]]",
        "taken[lane, row] = values[0, row, action[lane, row]]",
        "kernels/test_kernels.py::test_both_kinds_compute_the_same",
    ),
    Mutant(
        "device/device.py",
        'threadpool_limits(1 if serial else self.threads, user_api="blas")',
        'threadpool_limits(self.threads, user_api="blas")',
        "kernels/test_kernels.py::test_the_bits_do_not_depend_on_the_threads_of_a_device",
    ),
    Mutant(
        "results/bands.py",
        "below = ((count - 1) * ((1 - LEVEL) / 2))",
        "below = ((count - 1) * (1 - LEVEL))",
        "results/test_bands.py::test_an_interval_is_as_wide_as_that_of_the_statistics",
    ),
    Mutant(
        "results/intervals.py",
        "below = int((resamples - 1) * tail(level))",
        "below = int((resamples - 1) * 2 * tail(level))",
        "test_coverage.py::test_a_bootstrap_interval_of_a_normal_mean_is_as_narrow_as_it_is",
    ),
    Mutant(
        "results/comparison.py",
        "np.maximum.accumulate(p[order] * factors)",
        "p[order] * factors",
        "results/test_comparison.py::test_holm_s_adjusted_p_values",
    ),
    Mutant(
        "results/environments.py",
        "(x > t)",
        "(x >= t)",
        "results/test_environments.py::test_a_profile_counts_what_is_above_and_weighs_environments_alike",
    ),
    Mutant(
        "results/variants.py",
        "if all(len(there) == 1 for there in values.values()):",
        "if True:",
        "results/test_variants.py::test_what_differs_within_an_environment_is_told",
    ),
    Mutant(
        "results/variants.py",
        '"episode" if ids[env] in by_episodes else "step"',
        '"episode" if by_episodes else "step"',
        "results/test_figure.py::test_each_environment_has_the_axis_of_its_runs_limit",
    ),
    Mutant(
        "results/figure.py",
        "low - (high - low) <= threshold <= high + (high - low)",
        "low - (high - low) <= threshold",
        "results/test_figure.py::test_a_threshold_far_away_is_said_and_squeezes_nothing",
    ),
    Mutant(
        "results/style.py",
        '"pdf.fonttype": 42,',
        '"pdf.fonttype": 3,',
        "results/test_figure.py::test_a_paper_has_its_width_and_its_fonts",
    ),
    Mutant(
        "saving/blocks.py",
        "if not other.exists()]",
        "]",
        "saving/test_blocks.py::test_a_checkpoint_that_is_not_in_its_place_yet_replaces_none",
    ),
    Mutant(
        "saving/blocks.py",
        "if number and int(number[1]) * size <= oldest:",
        "if number and path.name in {b.file for b in known if b.stop <= oldest}:",
        "saving/test_blocks.py::test_the_disk_stays_bounded_however_often_a_run_is_killed",
    ),
    Mutant(
        "env/gym_row.py",
        "(ended[0] | ended[1]) & ~end",
        "ended[1]",
        "env/test_gym.py::test_an_end_that_is_not_learned_cuts_what_is_recorded",
    ),
    Mutant(
        "env/gym_row.py",
        'if found != given and info["replay"] == learned:',
        "if found[0] != given[0] and found[1] != given[1]:",
        "env/test_gym.py::test_a_wrapper_that_changes_nothing_of_what_is_learned_is_named",
    ),
    Mutant(
        "env/gym_row.py",
        'if found != given and info["replay"] == learned:',
        "if found != given:",
        "env/test_gym.py::test_wrappers_that_leave_it_alone_or_change_all_of_it",
    ),
    Mutant(
        "env/atari.py",
        "if self.clip_rewards or lost:",
        "if True:",
        "env/test_atari.py::test_a_wrapper_may_change_rewards_that_are_not_clipped",
    ),
    Mutant(
        "cli/presets.py",
        "found[key] = _settled(place, typed, value, *parts)",
        "found[key] = after[key]",
        "cli/test_presets.py::test_another_choice_beside_an_experiment",
    ),
    Mutant(
        "cli/prepare.py",
        "    gc.collect()",
        "    pass",
        "saving/test_resume.py::test_a_replay_that_was_only_tried_is_given_back",
    ),
]


def copied(base: Path, mutant: Mutant | None = None) -> Path:
    """A new directory with all that tests need, and the mutant in it."""
    folder = Path(tempfile.mkdtemp(prefix="mutant-"))
    for name in COPIED:
        source = base / name
        if source.is_dir():
            shutil.copytree(source, folder / name)  # with what is compiled
        else:
            shutil.copy(source, folder / name)
    if mutant is not None:
        file = folder / "dqn_cli" / mutant.file
        text = file.read_text(encoding="utf-8").replace(mutant.original, mutant.mutated)
        file.write_text(text, encoding="utf-8")
    return folder


def outcome(folder: Path, tests: list[str], limit: float) -> tuple[int | None, str]:
    """How pytest ended in a process of its own, None if it had to be ended, and what it printed."""
    process = os.fork()
    if process == 0:
        try:
            os.setsid()
            os.chdir(folder)
            sys.path.insert(0, str(folder))
            os.environ["PYTHONPATH"] = str(folder)
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            sys.dont_write_bytecode = False  # to compile once is quicker
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take a second
            log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            import pytest

            names = [f"tests/{test}" for test in tests]
            ended = int(pytest.main(["-x", "-p", "no:cacheprovider", *names]))
            sys.stdout.flush()
            os._exit(ended)
        finally:
            os._exit(BROKEN)
    code: int | None = None
    until = time.monotonic() + limit
    while code is None and time.monotonic() < until:
        time.sleep(0.02)
        done, status = os.waitpid(process, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
    if code is None:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return code, (folder / "log").read_text(encoding="utf-8", errors="replace")


def tried(mutant: Mutant, base: Path) -> str:
    """What became of it. base: a copy as it is."""
    times = (HERE / "dqn_cli" / mutant.file).read_text(encoding="utf-8").count(mutant.original)
    if times != 1:
        return f"its text comes {times} times"
    folder = copied(base, mutant)
    code, text = outcome(folder, [mutant.test], LIMIT)
    shutil.rmtree(folder, ignore_errors=True)
    if code is None:
        return f"no end after {LIMIT:.0f} s"
    return {PASSED: "SURVIVED", FAILED: "killed"}.get(code, f"pytest ended with {code}:\n{text}")


def cell(text: str) -> str:
    """Code in a cell of a table."""
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`" if text.strip() else "nothing"


def table() -> str:
    lines = ["| file | what was changed | the test that fails |", "|---|---|---|"]
    for mutant in MUTANTS:
        change = f"{cell(mutant.original)} → {cell(mutant.mutated)}"
        lines.append(f"| {mutant.file} | {change} | {cell(mutant.test)} |")
    return "\n".join(lines)


def main() -> None:
    if sys.argv[1:] == ["--table"]:
        print(table())
        return
    numbers = [int(number) for number in sys.argv[1:]] or list(range(1, len(MUTANTS) + 1))
    for name in SLOW:
        importlib.import_module(name)
    tests = list(dict.fromkeys(MUTANTS[number - 1].test for number in numbers))
    base = copied(HERE)
    code, text = outcome(base, tests, LIMIT * len(tests))
    if code != PASSED:
        sys.exit(f"without any mutant, pytest ends with {code}:\n{text}")
    killed = 0
    for number in numbers:
        mutant = MUTANTS[number - 1]
        found = tried(mutant, base)
        killed += found.startswith("killed")
        print(f"{number} {mutant.file}: {cell(mutant.mutated)}: {found}", flush=True)
    shutil.rmtree(base, ignore_errors=True)
    print(f"{killed} of {len(numbers)} killed")
    sys.exit(killed < len(numbers))


if __name__ == "__main__":
    main()
