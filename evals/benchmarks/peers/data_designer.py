"""Data Designer: the records as seeds, one column of structured answers."""

from types import SimpleNamespace

import data_designer.config as dd
import pandas
from data_designer.interface import DataDesigner
from pydantic import BaseModel

from peers import measure, system, user

# Its Jinja has no tojson, and a list is written as Python writes it.
JSON_LIST = '[{% for i in ingredients %}"{{ i }}"{% if not loop.last %}, {% endif %}{% endfor %}]'


class Designer(DataDesigner):
    def _create_dataset_profiler(self, *args, **options):
        """None: it reports on a finished dataset, and fetches a vocabulary for that."""
        return SimpleNamespace(profile_dataset=lambda *args: None)


class Line(BaseModel):
    line: str


def prepare(records, url, concurrency):
    provider = dd.ModelProvider(name="local", endpoint=url, api_key="none")
    limits = dd.ChatCompletionInferenceParams(temperature=0.0, max_parallel_requests=concurrency)
    model = dd.ModelConfig(
        alias="served", model="small", provider="local", inference_parameters=limits, skip_health_check=True
    )
    config = dd.DataDesignerConfigBuilder(model_configs=[model])
    config.with_seed_dataset(dd.DataFrameSeedSource(df=pandas.DataFrame(records)))
    told = records[0]["instruction"]
    prompt = user(name="{{ name }}", ingredients=JSON_LIST, method="{{ method }}")
    config.add_column(
        dd.LLMStructuredColumnConfig(
            name="answer", model_alias="served", output_format=Line, system_prompt=system(told), prompt=prompt
        )
    )
    designer = Designer("artifacts", model_providers=[provider])
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))

    def work():
        frame = designer.create(config, num_records=len(records)).load_dataset()
        return {i: answer["line"] for i, answer in zip(frame["id"], frame["answer"])}

    return work


if __name__ == "__main__":
    measure("data-designer", prepare)
