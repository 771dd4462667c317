"""AVRO schemas of the synthetic alerts: the fields and types that each survey publishes, without their texts.

They are written in a notation of ours: `name = type: field field type: field`, where `?type` is nullable with
default null, `~type` is nullable without a default, and `[type]` an array.
"""

from collections.abc import Iterable
from typing import Any

_ZTF = """
ztf.alert.candidate =
    double: jd int: fid long: pid ?float: diffmaglim ?string: pdiffimfilename programpi int: programid long:
    candid string: isdiffpos ?long: tblid ?int: nid rcid field ?float: xpos ypos double: ra dec float: magpsf
    sigmapsf ?float: chipsf magap sigmagap distnr magnr sigmagnr chinr sharpnr sky magdiff fwhm classtar
    mindtoedge magfromlim seeratio aimage bimage aimagerat bimagerat elong ?int: nneg nbad ?float: rb ssdistnr
    ssmagnr ?string: ssnamenr ?float: sumrat magapbig sigmagapbig double: ranr decnr ?float: sgmag1 srmag1
    simag1 szmag1 sgscore1 distpsnr1 int: ndethist ncovhist ?double: jdstarthist jdendhist scorr ?int: tooflag
    ?long: objectidps1 objectidps2 ?float: sgmag2 srmag2 simag2 szmag2 sgscore2 distpsnr2 ?long: objectidps3
    ?float: sgmag3 srmag3 simag3 szmag3 sgscore3 distpsnr3 int: nmtchps long: rfid double: jdstartref jdendref
    int: nframesref string: rbversion ?float: dsnrms ssnrms dsdiff magzpsci magzpsciunc magzpscirms int:
    nmatches ?float: clrcoeff clrcounc zpclrcov zpmed clrmed clrrms neargaia neargaiabright maggaia
    maggaiabright exptime drb string: drbversion
ztf.alert.prv_candidate =
    double: jd int: fid long: pid ?float: diffmaglim ?string: pdiffimfilename programpi int: programid ~long:
    candid ~string: isdiffpos ?long: tblid ?int: nid rcid field ?float: xpos ypos ~double: ra dec ~float:
    magpsf sigmapsf ?float: chipsf magap sigmagap distnr magnr sigmagnr chinr sharpnr sky magdiff fwhm
    classtar mindtoedge magfromlim seeratio aimage bimage aimagerat bimagerat elong ?int: nneg nbad ?float: rb
    ssdistnr ssmagnr ?string: ssnamenr ?float: sumrat magapbig sigmagapbig ~double: ranr decnr ?double: scorr
    ?float: magzpsci magzpsciunc magzpscirms clrcoeff clrcounc string: rbversion
ztf.alert.fp_hist =
    ?int: field rcid int: fid long: pid rfid ?float: sciinpseeing scibckgnd scisigpix magzpsci magzpsciunc
    magzpscirms clrcoeff clrcounc exptime adpctdif1 adpctdif2 diffmaglim int: programid double: jd ?float:
    forcediffimflux forcediffimfluxunc ?string: procstatus ?float: distnr double: ranr decnr ?float: magnr
    sigmagnr chinr sharpnr
ztf.alert.cutout =
    string: fileName bytes: stampData
ztf.alert =
    string: schemavsn publisher objectId long: candid ztf.alert.candidate: candidate
    ?[ztf.alert.prv_candidate]: prv_candidates ?[ztf.alert.fp_hist]: fp_hists ?ztf.alert.cutout: cutoutScience
    cutoutTemplate cutoutDifference
"""

_ATLAS = """
atlas.candidate =
    double: mjd string: filter long: pid string: candid isdiffpos float: X Y double: RA Dec float: Mag Dmag
    flux Dflux Major Minor rb double: Phi int: Det double: ChiN int: Pvr Ptr Pmv Pkn Pno Pbn Pcr Pxt Psc Dup
    float: WPflx Dflx
atlas.cutout =
    string: fileName bytes: stampData
atlas.alert =
    string: schemavsn publisher objectId candid atlas.candidate: candidate ~atlas.cutout: cutoutScience
    cutoutTemplate cutoutDifference
"""

_LSST = """
lsst.v9_0.diaSource =
    long: diaSourceId visit int: detector ?long: diaObjectId ssObjectId parentDiaSourceId double:
    midpointMjdTai ra ?float: raErr double: dec ?float: decErr ra_dec_Cov float: x ?float: xErr float: y
    ?float: yErr ?boolean: centroid_flag ?float: apFlux apFluxErr ?boolean: apFlux_flag
    apFlux_flag_apertureTruncated isNegative ?float: snr psfFlux psfFluxErr psfLnL psfChi2 ?int: psfNdata
    ?boolean: psfFlux_flag psfFlux_flag_edge psfFlux_flag_noGoodPixels ?float: trailFlux trailFluxErr ?double:
    trailRa ?float: trailRaErr ?double: trailDec ?float: trailDecErr trailLength trailLengthErr trailAngle
    trailAngleErr trailChi2 ?int: trailNdata ?boolean: trail_flag_edge ?float: dipoleMeanFlux
    dipoleMeanFluxErr dipoleFluxDiff dipoleFluxDiffErr dipoleLength dipoleAngle dipoleChi2 ?int: dipoleNdata
    ?float: scienceFlux scienceFluxErr ?boolean: forced_PsfFlux_flag forced_PsfFlux_flag_edge
    forced_PsfFlux_flag_noGoodPixels ?float: templateFlux templateFluxErr ixx iyy ixy ixxPSF iyyPSF ixyPSF
    ?boolean: shape_flag shape_flag_no_pixels shape_flag_not_contained shape_flag_parent_source ?float:
    extendedness reliability ?string: band ?boolean: isDipole dipoleFitAttempted double: timeProcessedMjdTai
    ?double: timeWithdrawnMjdTai ?int: bboxSize ?boolean: pixelFlags pixelFlags_bad pixelFlags_cr
    pixelFlags_crCenter pixelFlags_edge pixelFlags_nodata pixelFlags_nodataCenter pixelFlags_interpolated
    pixelFlags_interpolatedCenter pixelFlags_offimage pixelFlags_saturated pixelFlags_saturatedCenter
    pixelFlags_suspect pixelFlags_suspectCenter pixelFlags_streak pixelFlags_streakCenter pixelFlags_injected
    pixelFlags_injectedCenter pixelFlags_injected_template pixelFlags_injected_templateCenter glint_trail
lsst.v9_0.diaForcedSource =
    long: diaForcedSourceId diaObjectId double: ra dec long: visit int: detector ?float: psfFlux psfFluxErr
    double: midpointMjdTai ?float: scienceFlux scienceFluxErr ?string: band double: timeProcessedMjdTai
    ?double: timeWithdrawnMjdTai
lsst.v9_0.diaObject =
    long: diaObjectId double: validityStartMjdTai ra ?float: raErr double: dec ?float: decErr ra_dec_Cov
    u_psfFluxMean u_psfFluxMeanErr u_psfFluxSigma ?int: u_psfFluxNdata ?float: u_fpFluxMean u_fpFluxMeanErr
    g_psfFluxMean g_psfFluxMeanErr g_psfFluxSigma ?int: g_psfFluxNdata ?float: g_fpFluxMean g_fpFluxMeanErr
    r_psfFluxMean r_psfFluxMeanErr r_psfFluxSigma ?int: r_psfFluxNdata ?float: r_fpFluxMean r_fpFluxMeanErr
    i_psfFluxMean i_psfFluxMeanErr i_psfFluxSigma ?int: i_psfFluxNdata ?float: i_fpFluxMean i_fpFluxMeanErr
    z_psfFluxMean z_psfFluxMeanErr z_psfFluxSigma ?int: z_psfFluxNdata ?float: z_fpFluxMean z_fpFluxMeanErr
    y_psfFluxMean y_psfFluxMeanErr y_psfFluxSigma ?int: y_psfFluxNdata ?float: y_fpFluxMean y_fpFluxMeanErr
    u_scienceFluxMean u_scienceFluxMeanErr g_scienceFluxMean g_scienceFluxMeanErr r_scienceFluxMean
    r_scienceFluxMeanErr i_scienceFluxMean i_scienceFluxMeanErr z_scienceFluxMean z_scienceFluxMeanErr
    y_scienceFluxMean y_scienceFluxMeanErr u_psfFluxMin u_psfFluxMax u_psfFluxMaxSlope u_psfFluxErrMean
    g_psfFluxMin g_psfFluxMax g_psfFluxMaxSlope g_psfFluxErrMean r_psfFluxMin r_psfFluxMax r_psfFluxMaxSlope
    r_psfFluxErrMean i_psfFluxMin i_psfFluxMax i_psfFluxMaxSlope i_psfFluxErrMean z_psfFluxMin z_psfFluxMax
    z_psfFluxMaxSlope z_psfFluxErrMean y_psfFluxMin y_psfFluxMax y_psfFluxMaxSlope y_psfFluxErrMean ?double:
    firstDiaSourceMjdTai lastDiaSourceMjdTai int: nDiaSources
lsst.v9_0.ssSource =
    ?long: ssObjectId diaSourceId ?double: eclipticLambda eclipticBeta galacticL galacticB ?float: phaseAngle
    heliocentricDist topocentricDist predictedVMagnitude ?double: residualRa residualDec ?float: heliocentricX
    heliocentricY heliocentricZ heliocentricVX heliocentricVY heliocentricVZ topocentricX topocentricY
    topocentricZ topocentricVX topocentricVY topocentricVZ
lsst.v9_0.MPCORB =
    ?string: mpcDesignation ?long: ssObjectId ?float: mpcH ?double: epoch M peri node incl e a q t_p
lsst.v9_0.alert =
    long: diaSourceId ?string: observation_reason target_name lsst.v9_0.diaSource: diaSource
    ?[lsst.v9_0.diaSource]: prvDiaSources ?[lsst.v9_0.diaForcedSource]: prvDiaForcedSources
    ?lsst.v9_0.diaObject: diaObject ?lsst.v9_0.ssSource: ssSource ?lsst.v9_0.MPCORB: MPCORB ?bytes:
    cutoutDifference cutoutScience cutoutTemplate
"""

AvroType = dict[str, Any] | list[Any] | str
_ZERO: dict[str, object] = {
    "boolean": False,
    "bytes": b"",
    "double": 0.0,
    "float": 0.0,
    "int": 0,
    "long": 0,
    "string": "",
}


def _read(notation: str) -> dict[str, dict[str, Any]]:
    """Read the notation: the records in the order they are defined, by name."""
    records: dict[str, dict[str, Any]] = {}
    fields: list[dict[str, Any]] = []
    kind = ""
    words = notation.split()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if following == "=":
            fields = []
            records[word] = {"type": "record", "name": word, "fields": fields}
        elif word.endswith(":"):
            kind = word.removesuffix(":")
        elif word != "=":
            fields.append(_field(word, kind))
    return records


def _field(name: str, kind: str) -> dict[str, Any]:
    plain = kind.lstrip("?~")
    avro_type: AvroType = {"type": "array", "items": plain[1:-1]} if plain.startswith("[") else plain
    if kind == plain:
        return {"name": name, "type": avro_type}
    field = {"name": name, "type": ["null", avro_type]}
    return field | {"default": None} if kind.startswith("?") else field


def _nest(avro_type: AvroType, records: dict[str, dict[str, Any]], seen: set[str]) -> AvroType:
    """Put each record where it is first used, so that one schema says everything."""
    if isinstance(avro_type, list):
        return [_nest(branch, records, seen) for branch in avro_type]
    if isinstance(avro_type, dict):
        return avro_type | {"items": _nest(avro_type["items"], records, seen)}
    if avro_type not in records or avro_type in seen:
        return avro_type
    seen.add(avro_type)
    record = records[avro_type]
    fields = [field | {"type": _nest(field["type"], records, seen)} for field in record["fields"]]
    return record | {"fields": fields}


RECORDS = _read(_ZTF) | _read(_ATLAS) | _read(_LSST)


def nested_schema(name: str, without: Iterable[str] = ()) -> dict[str, Any]:
    """Build the schema of a record with everything that it uses inside.

    Parameters
    ----------
    name : str
        Full name of the record.
    without : iterable of str
        Fields of the record to leave out.

    Returns
    -------
    dict
        The AVRO schema as parsed JSON.
    """
    dropped = set(without)
    record = RECORDS[name]
    fields = [field for field in record["fields"] if field["name"] not in dropped]
    seen = {name}
    return record | {"fields": [field | {"type": _nest(field["type"], RECORDS, seen)} for field in fields]}


def blank_record(name: str) -> dict[str, Any]:
    """Build a record that says nothing: null where that is allowed, else zero or empty.

    Parameters
    ----------
    name : str
        Full name of the record.

    Returns
    -------
    dict of str to object
        A value for each field that is not itself a record.
    """
    return {
        field["name"]: None if isinstance(field["type"], list) else _ZERO[field["type"]]
        for field in RECORDS[name]["fields"]
        if isinstance(field["type"], list) or field["type"] in _ZERO
    }


def demo_schemas() -> dict[str, dict[str, Any]]:
    """Build the schemas of the synthetic wire-format packets, as files of a schema folder in Rubin's layout.

    Returns
    -------
    dict of str to dict
        File name to the record that it defines; other records are named in full.
    """
    return {
        f"{name}.avsc": {**record, "name": name.rpartition(".")[2], "namespace": name.rpartition(".")[0]}
        for name, record in RECORDS.items()
        if name.startswith("lsst.")
    }
