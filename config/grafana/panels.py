"""The kinds of panels that the dashboards are made of."""

SOURCE = {"type": "prometheus", "uid": "voice-prometheus"}
WIDTH = 24


def _panel(kind, title, description, unit, targets, *, custom=None, limit=None, options=None):
    defaults = {"unit": unit, "min": 0, "custom": custom or {}, "color": {"mode": "palette-classic"}}
    defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "green", "value": None}]}
    if limit is not None:
        defaults["thresholds"]["steps"].append({"color": "red", "value": limit})
        defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options or {},
        "targets": [{"refId": chr(ord("A") + n), "datasource": SOURCE, "editorMode": "code", **target}
                    for n, target in enumerate(targets)],
    }


def line(title, description, unit, *queries, limit=None):
    """Queries over time, each with its legend. `limit` draws a dashed line at what is promised."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": False}
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    targets = [{"expr": expr, "legendFormat": legend, "range": True} for expr, legend in queries]
    return _panel("timeseries", title, description, unit, targets, custom=custom, limit=limit, options=options)


def percentiles(title, description, bucket, *, by="", shown=(0.5, 0.95, 0.99), unit="s", limit=None):
    """Percentiles of a histogram, over the buckets of all chosen instances together."""
    labels = f"{by}, le" if by else "le"
    legend = " ".join("{{" + label + "}}" for label in by.split(", ")) if by else ""
    queries = [(f"histogram_quantile({q}, sum by ({labels}) (rate({bucket}[$__rate_interval])))",
                f"{legend} p{q * 100:g}".strip()) for q in shown]
    if by:
        title += f", p{shown[0] * 100:g}"
    return line(title, description, unit, *queries, limit=limit)


def heatmap(title, description, bucket, *, unit="s"):
    """How the values of a histogram were spread at each time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "tooltip": {"show": True, "yHistogram": False},
        "legend": {"show": True},
        "filterValues": {"le": 1e-9},
    }
    target = {"expr": f"sum by (le) (increase({bucket}[$__rate_interval]))", "legendFormat": "{{le}}", "format": "heatmap", "range": True}
    return _panel("heatmap", title + ", spread", description, unit, [target], options=options)


def number(title, description, unit, expr, *, red_above=None, red_below=None, legend="{{job}}"):
    """What a query says now."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value", "graphMode": "area", "textMode": "value_and_name", "orientation": "auto",
    }
    target = {"expr": expr, "legendFormat": legend, "range": True}
    panel = _panel("stat", title, description, unit, [target], options=options)
    defaults = panel["fieldConfig"]["defaults"]
    defaults["color"] = {"mode": "thresholds"}
    if red_above is not None:
        defaults["thresholds"]["steps"].append({"color": "red", "value": red_above})
    if red_below is not None:
        defaults["thresholds"]["steps"] = [{"color": "red", "value": None}, {"color": "green", "value": red_below}]
    return panel


def table(title, description, unit, expr, columns):
    """The labels of what a query finds now."""
    panel = _panel("table", title, description, unit, [{"expr": expr, "format": "table", "instant": True}],
                   options={"showHeader": True, "cellHeight": "sm"})
    panel["transformations"] = [{"id": "filterFieldsByName", "options": {"include": {"names": columns}}}]
    return panel


class Dashboard:
    """Panels in rows, from left to right."""

    def __init__(self, uid, title, variables, service=None):
        self.uid, self.title, self.service = uid, title, service
        self.variables = variables
        self.panels = []
        self.y = 0

    def row(self, title):
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, WIDTH, 1)
        self.y += 1

    def add(self, *panels, width=8, height=8):
        """As many beside one another as there is room for."""
        x = 0
        for panel in panels:
            if x + width > WIDTH:
                x, self.y = 0, self.y + height
            self._place(panel, x, width, height)
            x += width
        self.y += height

    def _place(self, panel, x, width, height):
        place = {"id": len(self.panels) + 1, "gridPos": {"x": x, "y": self.y, "w": width, "h": height}}
        self.panels.append({**place, **panel})

    def _variable(self, name):
        query = {
            "job": 'label_values(up{job=~"asr|tts"}, job)',
            "instance": f'label_values(up{{job="{self.service}"}}, instance)' if self.service
                        else 'label_values(up{job=~"$job"}, instance)',
            "host": "label_values(gpu_memory_total_bytes, host)",
            "gpu": 'label_values(gpu_memory_total_bytes{host=~"$host"}, gpu)',
        }[name]
        return {
            "name": name, "label": name.capitalize(), "type": "query", "datasource": SOURCE,
            "query": {"query": query, "refId": f"variable-{name}"}, "definition": query,
            "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "hide": 0, "regex": "", "options": [],
        }

    def as_json(self):
        return {
            "uid": self.uid,
            "title": self.title,
            "description": "Made by config/grafana/make_dashboards.py: change it there.",
            "tags": ["voice"],
            "schemaVersion": 38,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "15s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [{"type": "dashboards", "title": "Voice", "tags": ["voice"], "asDropdown": True, "keepTime": True,
                       "includeVars": False, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
            "annotations": {"list": [{
                "name": "Restarts", "enable": True, "hide": False, "iconColor": "orange", "datasource": SOURCE,
                "expr": 'changes(process_start_time_seconds{job=~"asr|tts"}[1m]) > 0', "titleFormat": "restart of {{instance}}",
            }]},
            "templating": {"list": [self._variable(name) for name in self.variables]},
            "panels": self.panels,
        }
